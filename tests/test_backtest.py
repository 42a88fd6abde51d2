"""Backtests: recorded rows through the live code, and the alarms they would have raised."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from pilotfish import _core, backtest, detectors, profile, table
from pilotfish.backtest import tuning
from pilotfish.cli import app
from pilotfish.errors import ConfigurationError
from pilotfish.settings import load
from pilotfish.statistics.features import Plan, build
from pilotfish.testing.model import MODEL_INFER, infer_request, infer_response

Columns = dict[str, Any]
CHANGE = 6000
"""The row from which recorded tables differ from the training set."""
KEYS = ["feature", "row", "change_row", "evidence_bits", "direction", "detector"]


def rows(count: int, seed: int, change: int | None = None) -> Columns:
    """People and whether the model was wrong about them; older, elsewhere, and more often, after a change."""
    random = np.random.default_rng(seed)
    age = random.normal(40, 10, count)
    city = random.choice(["Genf", "Bern", "Graz"], count, p=[0.5, 0.3, 0.2]).astype(object)
    wrong = (random.random(count) < 0.1).astype(np.int64)
    income = random.lognormal(10, 1, count)
    if change is not None:
        age[change:] += 8
        city[change:] = "Linz"
        wrong[change:] = random.random(count - change) < 0.5
    seconds = 1_767_225_600 + random.integers(0, 86_400, count)
    return {"age": age, "city": city, "income": income, "seconds": seconds, "wrong": wrong}


def written(path: Path, columns: Mapping[str, Any]) -> Path:
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(dict(columns)), path)
        return path
    lines = [",".join(columns)]
    lines += [
        ",".join("" if cell is None else str(cell) for cell in row)
        for row in zip(*columns.values(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    train = written(folder / "train.parquet", rows(20_000, 1))
    plan = Plan("people", 32, "input", None, frozenset({"wrong"}))
    profile.write(folder / "people.profile", build(table.read(train), plan))
    return folder / "people.profile"


def alarms(reference: Path, data: Path, **plan: Any) -> list[backtest.Alarm]:
    return list(backtest.run(reference.read_bytes(), data, backtest.Plan(**plan)))


def pilotfish(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error(*arguments: object) -> str:
    """The message of a command that fails."""
    result = pilotfish(*arguments)
    assert result.exit_code in (1, 2), result.output
    return result.stderr


# === what is found ===


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_known_change_is_found_and_nothing_before_it(reference: Path, tmp_path: Path, ending: str) -> None:
    data = written(tmp_path / f"week.{ending}", rows(10_000, 2, CHANGE))
    found = alarms(reference, data)
    assert {alarm.feature for alarm in found} == {"age", "city", "wrong"}
    for alarm in found:
        assert CHANGE < alarm.row <= CHANGE + 1500
        assert alarm.change_row == CHANGE
        assert alarm.distances["psi"] > 0.2


def test_both_formats_give_the_same_alarms(reference: Path, tmp_path: Path) -> None:
    columns = rows(10_000, 2, CHANGE)
    paths = [written(tmp_path / f"week.{ending}", columns) for ending in ("csv", "parquet")]
    one, other = (alarms(reference, path) for path in paths)
    assert one == other


@pytest.mark.parametrize("detector", ["adwin", "cusum", "kswin", "page_hinkley"])
def test_familiar_detectors_watch_every_number(reference: Path, tmp_path: Path, detector: str) -> None:
    data = written(tmp_path / "week.parquet", rows(10_000, 2, CHANGE))
    run = backtest.run(reference.read_bytes(), data, backtest.Plan(detector))
    found = list(run)
    assert run.watched == ["age", "city.length", "income", "seconds", "wrong"]
    assert any(alarm.feature == "age" and CHANGE < alarm.row < CHANGE + 500 for alarm in found)
    values = rows(10_000, 2, CHANGE)["age"]
    expected = detectors.Detector(detector).update_many(values) + 1
    assert [alarm.row for alarm in found if alarm.feature == "age"] == expected.tolist()


@pytest.mark.parametrize("detector", ["ddm", "eddm", "hddm_a", "hddm_w"])
def test_detectors_of_errors_watch_what_is_one(reference: Path, tmp_path: Path, detector: str) -> None:
    data = written(tmp_path / "week.parquet", rows(10_000, 2, CHANGE))
    run = backtest.run(reference.read_bytes(), data, backtest.Plan(detector))
    found = list(run)
    assert run.watched == ["wrong"]
    assert any(CHANGE < alarm.row < CHANGE + 1000 and alarm.direction == "up" for alarm in found)


def test_an_alarm_waits_for_no_pane(reference: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "week.parquet", rows(10_000, 2, CHANGE))
    for pane in (200, 1000, 5000):
        (age,) = [alarm for alarm in alarms(reference, data, pane=pane) if alarm.feature == "age"]
        assert CHANGE < age.row <= CHANGE + 300
        assert abs(age.change_row - CHANGE) <= 200


def test_chosen_columns_are_the_only_ones(reference: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "week.parquet", rows(10_000, 2, CHANGE))
    run = backtest.run(reference.read_bytes(), data, backtest.Plan(columns=["city", "income"]))
    assert {alarm.feature for alarm in run} == {"city"}
    assert run.watched == ["city", "city.length", "income"]


def test_the_alarms_are_those_that_live_calls_raise(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    train, week = random.normal(size=(5000, 3)), random.normal(size=(4000, 3))
    week[2500:, 1] += 2
    names = {f"c{n}": train[:, n] for n in range(3)}
    built = build(table.read(written(tmp_path / "t.parquet", names)), Plan("m", 32, "input", "x"))
    data = written(tmp_path / "w.parquet", {f"c{n}": week[:, n] for n in range(3)})
    recorded = [(a.feature, a.row, a.change_row) for a in backtest.run(built, data)]
    assert recorded == live(built, week)
    assert [feature for feature, *_ in recorded] == ["x[1]"]


def live(reference: bytes, sent: Any) -> list[tuple[str, int, int]]:
    """What an engine raises that is sent the rows in calls of 40."""
    engine = _core.Engine(load(None, {}, {"upstream": "a:1"}).engine_configuration(), {"v1": reference}, 0)
    try:
        for start in range(0, len(sent), 40):
            request = infer_request("m", {"x": sent[start : start + 40]})
            response = infer_response("m", {"y": np.zeros(40, np.int64)})
            decision = engine.decide(MODEL_INFER, (), start)
            if engine.observe(decision, 0, 1, 1, start, request, response, len(request), len(response)):
                engine.settle(None)
        assert engine.flush(10.0)
        events = json.loads(engine.alarms(0))
    finally:
        engine.close()
    return [(e["feature"], e["row"], e["change_row"]) for e in events if e["state"] == "raised"]


def test_no_more_than_a_chunk_is_held(reference: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "long.parquet", rows(3 * table.CHUNK_ROWS, 2))
    run = backtest.run(reference.read_bytes(), data, backtest.Plan("page_hinkley"))
    iterator = iter(run)
    next(iterator)
    assert run.rows <= table.CHUNK_ROWS


def test_what_was_read_of_a_parquet_file_is_let_go(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).normal(size=1_000_000)
    data = tmp_path / "long.parquet"
    parquet.write_table(pa.table(dict.fromkeys("abcd", numbers)), data, row_group_size=50_000)
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in table.read(data).chunks()]
    assert max(held) < data.stat().st_size / 4


def test_the_detectors_of_the_live_monitor_are_offered(reference: Path) -> None:
    """Its default is that of a backtest."""
    known = []
    for detector in ("edetector", "threshold"):
        configured = json.dumps({"monitor": {"alarm": {"detector": detector}}})
        try:
            _core.Backtest(reference.read_bytes(), configured)
        except _core.ConfigurationError:
            continue
        known.append(detector)
    assert tuple(known or ["threshold"]) == backtest.LIVE


# === bad input ===


@pytest.mark.parametrize("count", [0, 1, 119])
def test_too_few_rows_are_silent_and_said(reference: Path, tmp_path: Path, count: int) -> None:
    data = written(tmp_path / "few.csv", rows(count, 2))
    result = pilotfish("backtest", "--profile", reference, "--data", data)
    assert result.exit_code == 0
    says = f"has {count} rows; 120 are the fewest that are compared (--pane), so none was"
    assert result.stderr == f"{data}: {says}\n"
    assert result.stdout.startswith(f"{count} row{'' if count == 1 else 's'}, ")
    assert "0 alarms" in result.stdout


def test_what_is_looked_at_before_the_first_pane_is_full_is_compared(reference: Path, tmp_path: Path) -> None:
    few = rows(500, 2)
    data = written(tmp_path / "few.csv", few | {"age": few["age"] + 40})
    result = pilotfish("backtest", "--profile", reference, "--data", data)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 alarm of 1" in result.stdout
    by_threshold = pilotfish("backtest", "--profile", reference, "--data", data, "--detector", "threshold")
    assert "has 500 rows; 1000 are the fewest that are compared" in by_threshold.stderr


def test_a_text_beside_row_names_is_matched(tmp_path: Path) -> None:
    lines = "".join(f"{n},{'abc'[n % 3]}\n" for n in range(200))
    (tmp_path / "t.csv").write_text(",x\n" + lines)
    build = ("profile", "build", "--from", tmp_path / "t.csv", "--out", tmp_path / "t.profile")
    assert pilotfish(*build).exit_code == 0
    result = pilotfish("backtest", "--profile", tmp_path / "t.profile", "--data", tmp_path / "t.csv")
    assert result.exit_code == 0, result.stderr
    assert "2 features" in result.stdout


def test_an_empty_file_is_refused(reference: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    says = error("backtest", "--profile", reference, "--data", tmp_path / "empty.csv")
    assert "is empty; write a header line" in says


def test_constant_and_missing_columns_have_alarms_of_their_own(reference: Path, tmp_path: Path) -> None:
    columns = rows(3000, 2)
    columns |= {"age": np.full(3000, 40.0), "city": [None] * 3000, "income": [None] * 3000}
    expected = {"age", "city", "city.length", "income"}
    for ending in ("csv", "parquet"):
        data = written(tmp_path / f"bad.{ending}", columns)
        assert {alarm.feature for alarm in alarms(reference, data)} == expected
        for detector in detectors.NAMES:
            alarms(reference, data, detector=detector)


def test_a_profile_of_one_row_or_of_constants_is_no_accident(tmp_path: Path) -> None:
    for count in (1, 5, 2000):
        train = {"age": np.full(count, 7.0), "city": ["Ulm"] * count, "gone": [None] * count}
        built = build(table.read(written(tmp_path / "t.csv", train)), Plan("m", 32, "input"))
        same = written(tmp_path / "same.csv", {name: [next(iter(of))] * 2000 for name, of in train.items()})
        assert list(backtest.run(built, same)) == []
        other = written(
            tmp_path / "other.csv", {"age": [8.0] * 2000, "city": ["Bern"] * 2000, "gone": [1.0] * 2000}
        )
        for detector in (backtest.DEFAULT, "adwin", "cusum"):
            list(backtest.run(built, other, backtest.Plan(detector)))


def test_infinite_and_huge_numbers_are_counted_and_no_accident(reference: Path, tmp_path: Path) -> None:
    columns = rows(3000, 2)
    columns["age"] = np.resize([np.inf, -np.inf, 1e308, -1e308, 5e-324, np.nan], 3000)
    data = written(tmp_path / "bad.parquet", columns)
    assert {alarm.feature for alarm in alarms(reference, data)} == {"age"}


def test_a_ragged_file_is_refused_with_its_line(reference: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "ragged.csv", rows(3000, 2))
    data.write_text(data.read_text() + "1,2\n")
    says = error("backtest", "--profile", reference, "--data", data)
    assert "ragged.csv:3002: the row has 2 fields, the header 5" in says


def test_texts_among_numbers_count_as_missing_and_are_told(reference: Path, tmp_path: Path) -> None:
    columns = rows(3000, 2)
    clean = alarms(reference, written(tmp_path / "clean.csv", columns))
    columns["age"] = columns["age"].astype(object)
    columns["age"][1234:1237] = "old"
    data = written(tmp_path / "mixed.csv", columns)
    assert alarms(reference, data) == clean
    for command in ("backtest", "tune"):
        result = pilotfish(command, "--profile", reference, "--data", data)
        assert f"{data}: the column 'age' has numbers, and 3 texts that count as missing: " in result.stderr
        assert "'old' in row 1235 is the first" in result.stderr
    columns["age"][:600] = "old"
    (missing,) = alarms(reference, written(tmp_path / "more.csv", columns))
    assert (missing.feature, missing.direction) == ("age", "missing up")


def test_a_column_of_texts_for_numbers_is_refused_with_its_row(reference: Path, tmp_path: Path) -> None:
    columns = rows(3000, 2)
    columns["age"] = columns["age"].astype(object)
    columns["age"][1234:] = "old"
    data = written(tmp_path / "mixed.csv", columns)
    says = error("backtest", "--profile", reference, "--data", data)
    assert "the column 'age' has numbers in the profile, but the text 'old' in row 1235; correct it" in says
    assert pilotfish("backtest", "--profile", reference, "--data", data, "--columns", "city").exit_code == 0


def test_numbers_that_are_stored_as_texts_are_refused(reference: Path, tmp_path: Path) -> None:
    columns = rows(300, 2)
    columns["age"] = [None, *(str(age) for age in columns["age"][1:])]
    data = written(tmp_path / "texts.parquet", columns)
    says = error("backtest", "--profile", reference, "--data", data)
    assert (
        f"'age' has numbers in the profile, but the text {columns['age'][1]!r} in row 2; correct it" in says
    )
    columns["age"] = pa.nulls(300, pa.string())
    assert "but the text '' in row 1" in error(
        "backtest", "--profile", reference, "--data", written(tmp_path / "none.parquet", columns)
    )


def test_texts_where_the_reference_was_empty_are_refused_as_that(tmp_path: Path) -> None:
    empty = written(tmp_path / "empty.csv", {"x": np.arange(20), "race": [None] * 20})
    out = tmp_path / "empty.profile"
    assert pilotfish("profile", "build", "--from", empty, "--out", out).exit_code == 0
    data = written(tmp_path / "full.csv", {"x": np.arange(20), "race": ["a"] * 20})
    says = error("backtest", "--profile", out, "--data", data)
    assert "the column 'race' has no value at all in the profile, but the text 'a' in row 1; correct" in says


def test_columns_that_the_profile_does_not_know_are_told(reference: Path, tmp_path: Path) -> None:
    columns = {"": np.arange(3000), "note": rows(3000, 2)["city"]} | rows(3000, 2) | {"id": np.arange(3000)}
    data = written(tmp_path / "wide.csv", columns)
    for command in ("backtest", "tune"):
        result = pilotfish(command, "--profile", reference, "--data", data)
        assert f"{data}: not in the profile, left out: note, id\n" in result.stderr
    chosen = pilotfish("backtest", "--profile", reference, "--data", data, "--columns", "age,city")
    assert not chosen.stderr


def test_more_rows_than_can_be_counted_are_refused(reference: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "few.csv", rows(300, 2))
    run = ("backtest", "--profile", reference, "--data", data)
    assert f"arl is {2**63}; use a whole number from 1 to {2**63 - 1}" in error(*run, "--arl", 2**63)
    assert f"pane is {2**32}; use a whole number from 1 to {2**32 - 1}" in error(*run, "--pane", 2**32)


def test_categories_that_look_like_numbers_stay_categories(reference: Path, tmp_path: Path) -> None:
    columns = rows(3000, 2) | {"city": np.arange(3000)}
    found = alarms(reference, written(tmp_path / "codes.csv", columns))
    assert {alarm.feature for alarm in found} == {"city", "city.length"}
    data = written(tmp_path / "codes.parquet", columns)
    says = error("backtest", "--profile", reference, "--data", data)
    assert "the column 'city' has categories in the profile, but numbers here; write them as texts" in says


def test_a_feature_without_a_column_is_absent(reference: Path, tmp_path: Path) -> None:
    columns = rows(3000, 2)
    del columns["age"], columns["city"]
    data = written(tmp_path / "lacking.csv", columns)
    found = alarms(reference, data)
    assert {(alarm.feature, alarm.detector, alarm.direction) for alarm in found} == {
        (name, "schema", "absent") for name in ("age", "city", "city.length")
    }
    assert {(alarm.row, alarm.change_row, alarm.evidence_bits) for alarm in found} == {(1000, 0, None)}
    result = pilotfish("backtest", "--profile", reference, "--data", data)
    assert "lacking.csv: has no column for age, city of the profile, so they are absent" in result.stderr
    assert alarms(reference, data, columns=["income"]) == []


def test_texts_that_are_missing_as_often_as_ever_are_no_distance_away(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    for name in ("was", "is"):
        texts = random.choice(["", "a", "bb"], 4000, p=[0.8, 0.1, 0.1])
        written(tmp_path / f"{name}.csv", {"text": texts, "row": random.random(4000)})
    profile.write(
        tmp_path / "texts.profile", build(table.read(tmp_path / "was.csv"), Plan("", 32, "input", None))
    )
    assert alarms(tmp_path / "texts.profile", tmp_path / "is.csv", detector="threshold") == []


def test_bins_are_told_by_what_they_hold(reference: Path, tmp_path: Path) -> None:
    columns = rows(3000, 2)
    columns["city"][1000:] = "Bern"
    data = written(tmp_path / "bern.csv", columns)
    alarm = next(alarm for alarm in alarms(reference, data) if alarm.feature == "city")
    assert (alarm.direction or "").startswith("bin")
    assert alarm.place == "Bern"
    assert "(Bern)" in pilotfish("backtest", "--profile", reference, "--data", data).stdout.replace("\n", "")
    assert "place" not in json.loads(alarm.as_json())


def test_a_table_of_something_else_is_refused_with_the_remedy(reference: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "lacking.csv", {"other": np.zeros(3000)})
    says = error("backtest", "--profile", reference, "--data", data)
    assert "of the profile; add them, or choose the others with --columns" in says
    says = error("backtest", "--profile", reference, "--data", data, "--columns", "agee")
    assert "has no column 'agee'; it has other" in says


def test_columns_beside_those_of_the_profile_are_left_alone(reference: Path, tmp_path: Path) -> None:
    columns = rows(3000, 2)
    columns["day"] = pa.array([None] * 3000, pa.timestamp("us"))
    columns["other"] = np.zeros(3000)
    data = written(tmp_path / "more.parquet", columns)
    assert alarms(reference, data) == []
    says = error("backtest", "--profile", reference, "--data", data, "--columns", "age,other")
    assert "the profile knows no column 'other'; it has age, city, income, seconds, wrong" in says


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:-20], "truncated"),
        (lambda data: b"\x00" * 64, "not a pilotfish profile"),
        (lambda data: b"", "truncated"),
    ],
)
def test_a_broken_profile_is_refused_with_its_name(
    reference: Path, tmp_path: Path, damage: Any, says: str
) -> None:
    broken = tmp_path / "broken.profile"
    broken.write_bytes(damage(reference.read_bytes()))
    data = written(tmp_path / "week.csv", rows(10, 2))
    for command in ("backtest", "tune"):
        message = error(command, "--profile", broken, "--data", data)
        assert message.startswith(f"{broken}: ")
        assert says in message


def test_what_cannot_be_read_is_refused(reference: Path, tmp_path: Path) -> None:
    assert "no such file" in error("backtest", "--profile", reference, "--data", tmp_path / "none.csv")
    assert "no such profile" in error(
        "backtest", "--profile", tmp_path / "none", "--data", tmp_path / "none.csv"
    )
    data = written(tmp_path / "week.csv", rows(10, 2))
    unknown = error("backtest", "--profile", reference, "--data", data, "--detector", "adwim")
    assert "no detector is called 'adwim'; use one of" in unknown
    assert "adwin has none" in error(
        "backtest", "--profile", reference, "--data", data, "--detector", "adwin", "--arl", 1000
    )
    with pytest.raises(ConfigurationError, match="columns are those of a table"):
        alarms(reference, tmp_path, columns=["age"])
    numbers = {name: values for name, values in rows(100, 1).items() if name in ("age", "income")}
    built = build(table.read(written(tmp_path / "t.csv", numbers)), Plan("m", 32, "input"))
    with pytest.raises(ConfigurationError, match="ddm takes 0 and 1, which no feature of the profile is"):
        backtest.run(built, tmp_path / "t.csv", backtest.Plan("ddm"))


# === what is printed ===


def test_json_lines_have_the_documented_keys_and_nothing_else_is_printed(
    reference: Path, tmp_path: Path
) -> None:
    data = written(tmp_path / "week.parquet", rows(10_000, 2, CHANGE))
    for detector in (backtest.DEFAULT, "page_hinkley"):
        result = pilotfish(
            "backtest", "--profile", reference, "--data", data, "--detector", detector, "--json"
        )
        assert (result.exit_code, result.stderr) == (0, "")
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert lines
        for line in lines:
            assert list(line) == KEYS
            assert isinstance(line["feature"], str)
            assert 0 <= line["change_row"] < line["row"] <= 10_000
            assert line["evidence_bits"] is None or line["evidence_bits"] > 0
            assert line["detector"] == detector


def test_people_see_a_table_and_a_summary(reference: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "week.parquet", rows(10_000, 2, CHANGE))
    result = pilotfish("backtest", "--profile", reference, "--data", data)
    assert result.exit_code == 0
    assert "10,000 rows, 6 features watched by" in result.stdout
    assert "3 alarms of 3, silence of 3" in result.stdout
    shown = pilotfish("backtest", "--profile", reference, "--data", data, "--detector", "kswin").stdout
    assert "more" in shown


# === tuning ===


def test_history_like_the_training_set_needs_no_more_than_the_default(
    reference: Path, tmp_path: Path
) -> None:
    data = written(tmp_path / "month.parquet", rows(40_000, 6))
    proposal = tuning.propose(reference.read_bytes(), data)
    assert (proposal.arl, proposal.tolerance, proposal.rows) == (500_000, tuning.MIN_TOLERANCE, 40_000)
    result = pilotfish("tune", "--profile", reference, "--data", data)
    assert result.stdout.splitlines()[0] == "--arl 500000 --tolerance 0.0002"


def test_history_that_strays_is_tolerated(reference: Path, tmp_path: Path) -> None:
    columns = rows(40_000, 6)
    columns["age"] += 3 * np.sin(
        np.arange(40_000) / 40_000 * 6 * np.pi
    )  # 0.3 standard deviations: 0.045 nats
    data = written(tmp_path / "month.parquet", columns)
    result = pilotfish("tune", "--profile", reference, "--data", data, "--json")
    proposal = json.loads(result.stdout)
    assert list(proposal["restless"]) == ["age"]
    assert 0.03 < proposal["restless"]["age"] < 0.07
    assert 0.06 < proposal["tolerance"] < 0.14


def test_rows_that_hang_together_are_no_reason_for_a_tolerance(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    value, values = 0.0, []
    for shock in random.normal(0, 1, 60_000):
        value = 0.97 * value + shock
        values.append(value)
    train = written(tmp_path / "train.csv", {"x": values[:30_000]})
    data = written(tmp_path / "history.csv", {"x": values[30_000:]})
    proposal = tuning.propose(build(table.read(train), Plan("", 32, "input", None)), data)
    assert (proposal.tolerance, proposal.restless) == (tuning.MIN_TOLERANCE, {})


def test_history_with_a_change_in_it_is_refused_or_doubted(reference: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "month.parquet", rows(40_000, 6, CHANGE))
    says = error("tune", "--profile", reference, "--data", data)
    assert "is no clean history: city, " in says
    assert "which hides everything; look at them with pilotfish backtest" in says
    result = pilotfish("tune", "--profile", reference, "--data", data, "--columns", "age,income")
    assert result.exit_code == 0
    assert "nats hides large changes; is this history clean?" in result.stderr


def test_too_little_history_is_refused(reference: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "hour.parquet", rows(1999, 6))
    assert "has 1999 rows; 2000 of clean history are the least" in error(
        "tune", "--profile", reference, "--data", data
    )


@pytest.mark.parametrize(
    ("number", "expected"), [(1, 1), (11, 20), (21, 50), (51, 100), (500_000, 500_000), (500_001, 1_000_000)]
)
def test_rows_are_rounded_up(number: int, expected: int) -> None:
    assert tuning.rounded_up(number) == expected
    assert tuning.two_digits_up(0.0123) == 0.013
