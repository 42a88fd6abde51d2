"""Profiles on the command line: built in one pass or in parts, shown, merged, compared; and bad input."""

import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import Result
from pyarrow import parquet
from typer.testing import CliRunner

from pilotfish import profile, table
from pilotfish.cli import app
from pilotfish.statistics.features import Plan, build

MONTHS = ("jan", "feb", "mar")


def pilotfish(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments: str | Path) -> str:
    result = pilotfish(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refusal(*arguments: str | Path) -> str:
    """The single line of an error."""
    result = pilotfish(*arguments)
    assert result.exit_code == 1, result.stdout
    (line,) = result.stderr.splitlines()
    return line


def shown(path: Path) -> dict[str, dict[str, object]]:
    held = json.loads(done("profile", "show", path, "--json"))
    return {feature["name"]: feature for feature in held["features"]}


def month(folder: Path, name: str, shift: float = 0.0) -> Path:
    """A CSV file of numbers with holes, counts, categories and codes."""
    random = np.random.default_rng(MONTHS.index(name))
    rows = zip(
        np.where(random.random(2_000) < 0.05, np.nan, random.lognormal(shift, 1.0, 2_000)),
        random.poisson(3, 2_000),
        random.choice(["gold", "basic", "trial", ""], 2_000),
        random.integers(10_000, 99_999, 2_000),
        strict=True,
    )
    path = folder / f"{name}.csv"
    lines = (f"{income},{visits},{plan},{zip_code}\n" for income, visits, plan, zip_code in rows)
    path.write_text("income,visits,plan,zip\n" + "".join(lines))
    return path


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Profiles of three months on the edges of the first."""
    found = []
    for name in MONTHS:
        out = tmp_path / f"{name}.profile"
        edges = ["--edges-from", found[0]] if found else ["--model", "churn"]
        done("profile", "build", "--from", month(tmp_path, name), "--out", out, *edges)
        found.append(out)
    return found


# === show ===


def test_a_profile_shows_what_every_feature_is_like(parts: list[Path]) -> None:
    features = shown(parts[0])
    income, plan, visits = features["income"], features["plan"], features["visits"]
    values = np.genfromtxt(parts[0].with_suffix(".csv"), delimiter=",", skip_header=1, usecols=0)
    finite = values[np.isfinite(values)]
    assert (income["rows"], income["missing"], income["nan"]) == (
        2_000,
        len(values) - len(finite),
        income["nan"],
    )
    assert (income["min"], income["max"]) == (finite.min(), finite.max())
    assert (income["mean"], income["std"]) == pytest.approx((finite.mean(), finite.std()), rel=1e-12)
    quantiles = income["quantiles"]
    assert isinstance(quantiles, dict)
    for name, value in quantiles.items():
        rank = (finite <= value).mean()
        assert rank == pytest.approx(float(name[1:]) / 100, abs=1 / 32)
    assert income["cardinality"] == pytest.approx(len(np.unique(finite)), rel=0.07)
    assert (plan["kind"], plan["cardinality"], plan["missing"]) == ("category", 3, plan["missing"])
    assert (visits["kind"], visits["autocorrelation_time"]) == ("discrete", 1.0)
    assert len(income["counts"]) + 1 == len(income["edges"])  # type: ignore[arg-type]
    text = done("profile", "show", parts[0])
    assert all(word in text for word in ("income", "distinct", "tau", "50 %"))


# === merge ===


def test_parts_merge_to_the_same_bytes_in_any_order(parts: list[Path], tmp_path: Path) -> None:
    one, other = tmp_path / "one.profile", tmp_path / "other.profile"
    done("profile", "merge", *parts, "--out", one)
    done("profile", "merge", *reversed(parts), "--out", other)
    assert one.read_bytes() == other.read_bytes()
    assert profile.check(one.read_bytes())["rows"] == 6_000


def test_merged_parts_are_the_profile_of_all_rows_on_those_edges(parts: list[Path], tmp_path: Path) -> None:
    lines = [path.with_suffix(".csv").read_text().splitlines(keepends=True) for path in parts]
    (tmp_path / "all.csv").write_text(lines[0][0] + "".join(line for part in lines for line in part[1:]))
    merged, whole = tmp_path / "merged.profile", tmp_path / "whole.profile"
    done("profile", "merge", *parts, "--out", merged)
    done("profile", "build", "--from", tmp_path / "all.csv", "--edges-from", parts[0], "--out", whole)
    for name, feature in shown(merged).items():
        expected = shown(whole)[name] | {"autocorrelation_time": feature["autocorrelation_time"]}
        assert feature == expected


def test_parts_on_other_edges_are_refused_by_the_name_of_the_feature(
    parts: list[Path], tmp_path: Path
) -> None:
    alone = tmp_path / "alone.profile"
    done("profile", "build", "--from", parts[1].with_suffix(".csv"), "--out", alone, "--model", "churn")
    told = refusal("profile", "merge", parts[0], alone, "--out", tmp_path / "m.profile")
    assert 'feature "income": its bins differ; build the parts on the same edges with --edges-from' in told
    assert not (tmp_path / "m.profile").exists()


def test_parts_of_other_models_are_refused_unless_they_are_given_a_name(
    parts: list[Path], tmp_path: Path
) -> None:
    renamed = tmp_path / "renamed.profile"
    done("profile", "merge", parts[1], "--out", renamed, "--model", "other")
    told = refusal("profile", "merge", parts[0], renamed, "--out", tmp_path / "m.profile")
    assert 'one is of "churn", the other of "other"' in told
    done("profile", "merge", parts[0], renamed, "--out", tmp_path / "m.profile", "--model", "both")
    assert profile.check((tmp_path / "m.profile").read_bytes())["model"] == "both"


def test_a_category_that_looks_like_numbers_in_one_part_stays_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("zip\nA1\n12\n")
    (tmp_path / "b.csv").write_text("zip\n12\n99\n")
    done("profile", "build", "--from", tmp_path / "a.csv", "--out", tmp_path / "a.profile", "--model", "m")
    edges = ["--edges-from", tmp_path / "a.profile"]
    done("profile", "build", "--from", tmp_path / "b.csv", "--out", tmp_path / "b.profile", *edges)
    found = shown(tmp_path / "b.profile")["zip"]
    assert (found["kind"], found["labels"], found["counts"], found["unseen"]) == (
        "category",
        ["12", "A1"],
        [1, 0],
        1,
    )


def test_a_part_with_other_columns_is_refused(parts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "less.csv").write_text("income\n1\n")
    (tmp_path / "text.csv").write_text("income,visits,plan,zip\nmuch,1,gold,12345\n")
    for name, told in (
        ("less", 'feature "plan" of the profile'),
        ("text", 'column "income" holds texts here and numbers in the profile'),
    ):
        out = ["--out", tmp_path / "x.profile", "--edges-from", parts[0]]
        assert told in refusal("profile", "build", "--from", tmp_path / f"{name}.csv", *out)


# === diff ===


def test_a_part_with_texts_for_numbers_is_refused_with_the_value(tmp_path: Path) -> None:
    first = tmp_path / "a.profile"
    (tmp_path / "a.csv").write_text("x\n1\n2\n3\n")
    (tmp_path / "b.csv").write_text("x\n1\nc168\n3\n")
    done("profile", "build", "--from", tmp_path / "a.csv", "--out", first)
    second = ["--from", tmp_path / "b.csv", "--edges-from", first, "--out", tmp_path / "b.profile"]
    result = pilotfish("profile", "build", *second)
    assert result.exit_code == 1
    note, refused = result.stderr.splitlines()
    assert "because of 'c168' in row 2" in note
    assert refused.startswith(f'{tmp_path / "b.csv"}: column "x" holds texts here and numbers in the profile')


def test_columns_that_are_no_features_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,x,when,y\n1,2,3,0\n2,3,4,1\n")
    out = tmp_path / "t.profile"
    build = ["profile", "build", "--from", tmp_path / "t.csv", "--out", out]
    done(*build, "--without", "id,when")
    assert list(shown(out)) == ["x", "y"]
    done(*build, "--columns", "y,id,x", "--without", "id", "--tensor", "t")
    assert list(shown(out)) == ["t[0]", "t[1]"]
    assert (
        refusal(*build, "--without", "ib")
        == f"{tmp_path / 't.csv'}: has no column 'ib'; it has id, x, when, y"
    )


def test_columns_that_are_left_out_by_themselves_are_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",x,hp\n1,2,-\n2,3,5\n3,4,6\n")
    result = pilotfish("profile", "build", "--from", tmp_path / "t.csv", "--out", tmp_path / "t.profile")
    assert result.exit_code == 0
    unnamed, texts = result.stderr.splitlines()
    assert unnamed.startswith(f"{tmp_path / 't.csv'}: column 1 has no name, left out")
    assert texts.startswith(f"{tmp_path / 't.csv'}: the column 'hp' is texts, because of '-' in row 1")
    assert list(shown(tmp_path / "t.profile")) == ["hp", "hp.length", "x"]


def test_bins_that_leave_out_what_came_later_are_said(tmp_path: Path) -> None:
    values = np.arange(100_000) + np.random.default_rng(1).integers(0, 50, 100_000)
    for name, of in (("sorted", values), ("shuffled", np.random.default_rng(2).permutation(values))):
        parquet.write_table(pa.table({"x": of}), tmp_path / f"{name}.parquet")
    build = ["profile", "build", "--out", tmp_path / "t.profile", "--from"]
    said = pilotfish(*build, tmp_path / "sorted.parquet").stderr
    assert "34 % of the column 'x' lie outside its bins, which the first 65,536 rows have drawn" in said
    pilotfish(*build, tmp_path / "shuffled.parquet")
    edges = ["--edges-from", tmp_path / "t.profile"]
    assert not pilotfish(*build, tmp_path / "sorted.parquet", *edges).stderr


def test_ids_and_times_are_said(tmp_path: Path) -> None:
    lines = "".join(f"{n},{n * 7 % 10},2024-01-{n:02}\n" for n in range(1, 29))
    (tmp_path / "t.csv").write_text(f"id,x,when\n{lines}")
    build = ["profile", "build", "--from", tmp_path / "t.csv", "--out", tmp_path / "t.profile"]
    said = [line.partition(" from row to row")[0] for line in pilotfish(*build).stderr.splitlines()]
    assert said == [f"{tmp_path / 't.csv'}: the column {name!r} only rises" for name in ("id", "when")]
    assert not pilotfish(*build, "--without", "id,when").stderr


def test_a_column_called_like_what_is_computed_of_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,a.length\nx,5\nyy,6\n")
    build = ["profile", "build", "--from", tmp_path / "t.csv", "--out", tmp_path / "t.profile"]
    assert "two columns are the feature 'a.length'" in refusal(*build)
    done(*build, "--without", "a.length")


def test_a_shift_is_told_from_chance(parts: list[Path], tmp_path: Path) -> None:
    month(tmp_path, "feb", shift=0.5)
    out = tmp_path / "shifted.profile"
    done("profile", "build", "--from", tmp_path / "feb.csv", "--out", out, "--edges-from", parts[0])
    found = json.loads(done("profile", "diff", parts[0], out, "--json"))
    beyond = {
        one["name"] for one in found if one["distances"]["psi"]["value"] > one["distances"]["psi"]["noise"]
    }
    assert beyond == {"income"}
    ks = next(one["distances"]["ks"] for one in found if one["name"] == "income")
    assert ks["low"] <= ks["value"] <= ks["high"]
    rows = [line for line in done("profile", "diff", parts[0], out).splitlines() if "*" in line]
    assert "income" in rows[0]
    assert len(rows) == 2


def test_profiles_that_cannot_be_compared_say_why(parts: list[Path], tmp_path: Path) -> None:
    alone = tmp_path / "alone.profile"
    done(
        "profile", "build", "--from", parts[1].with_suffix(".csv"), "--out", alone, "--columns", "income,plan"
    )
    found = {
        one["name"]: one["why_not"] for one in json.loads(done("profile", "diff", parts[0], alone, "--json"))
    }
    assert found["visits"] == "it is gone"
    assert found["income"] == "its bins differ; build the other with --edges-from the first"
    assert found["plan"] is None
    assert "--edges-from" in done("profile", "diff", parts[0], alone)


# === one pass, whatever the file ===


def test_arrow_parquet_and_numpy_make_the_same_profile(tmp_path: Path) -> None:
    numbers = np.random.default_rng(5).normal(size=(40_000, 2))
    columns = pa.table({"0": numbers[:, 0], "1": numbers[:, 1]})
    parquet.write_table(columns, tmp_path / "a.parquet")
    for name, writer in (("a.arrow", pa.ipc.new_file), ("a.arrows", pa.ipc.new_stream)):
        with writer(tmp_path / name, columns.schema) as sink:
            sink.write_table(columns, max_chunksize=30_000)
    np.save(tmp_path / "a.npy", numbers)
    built = {
        path.name: build(table.read(path), Plan("m", 32, "input"))
        for path in sorted(tmp_path.iterdir())
    }  # fmt: skip
    assert len(built) == 4
    assert len(set(built.values())) == 1


@pytest.mark.parametrize("ending", ["parquet", "arrow", "npy"])
def test_a_file_of_any_length_is_built_in_bounded_memory(tmp_path: Path, ending: str) -> None:
    path, rows = tmp_path / f"long.{ending}", 3_000_000
    numbers = np.random.default_rng(5).normal(size=rows)
    if ending == "npy":
        np.save(path, numbers)
    elif ending == "arrow":
        with pa.ipc.new_file(path, pa.schema({"x": pa.float64()})) as sink:
            sink.write_table(pa.table({"x": numbers}))  # one batch
    else:
        parquet.write_table(pa.table({"x": numbers}), path)
    del numbers
    opened = table.read(path)
    tracemalloc.start()
    try:
        held = profile.check(build(opened, Plan("m", 32, "input")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held["rows"] == rows
    assert peak < 4_000_000  # 24 MB of values


def test_arrays_and_arrow_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"nothing")
    (tmp_path / "a.arrow").write_bytes(b"nothing at all")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    for name, told in (
        ("a.npy", "is not a NumPy file that can be read"),
        ("a.arrow", "is not an Arrow file that can be read"),
        ("cube.npy", "is an array of float64 with 3 dimensions"),
        ("text.npy", "is an array of <U1 with 1 dimensions"),
    ):
        assert told in refusal("profile", "build", "--from", tmp_path / name, "--out", tmp_path / "x.profile")


def test_structured_arrays_have_named_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([(1, 2.5), (3, 4.5)], dtype=[("age", "i4"), ("income", "f8")]))
    done(
        "profile",
        "build",
        "--from",
        tmp_path / "a.npy",
        "--out",
        tmp_path / "m.profile",
        "--columns",
        "income",
    )
    assert shown(tmp_path / "m.profile")["income"]["mean"] == 3.5


# === bad input ===


def of_rows(tmp_path: Path, *rows: str) -> dict[str, object]:
    (tmp_path / "x.csv").write_text("x,y\n" + "".join(f"{row},1\n" for row in rows))
    done("profile", "build", "--from", tmp_path / "x.csv", "--out", tmp_path / "x.profile")
    return shown(tmp_path / "x.profile")["x"]


def test_a_constant_has_one_bin(tmp_path: Path) -> None:
    found = of_rows(tmp_path, *["7"] * 50)
    assert (found["kind"], found["values"], found["counts"], found["std"]) == ("discrete", [7.0], [50], 0.0)
    assert (found["cardinality"], found["autocorrelation_time"]) == (1, 1.0)


def test_a_column_that_is_always_missing_counts_its_rows(tmp_path: Path) -> None:
    found = of_rows(tmp_path, *[""] * 20)
    assert (found["rows"], found["missing"], found["bins"], found["mean"]) == (20, 20, 0, None)
    assert (found["cardinality"], found["quantiles"]) == (0, None)


def test_a_single_row_is_a_profile(tmp_path: Path) -> None:
    found = of_rows(tmp_path, "3.5")
    assert (found["rows"], found["values"], found["min"], found["max"]) == (1, [3.5], 3.5, 3.5)


def test_fewer_rows_than_bins_make_fewer_bins(tmp_path: Path) -> None:
    found = of_rows(tmp_path, *(str(n / 7) for n in range(25)))
    assert (found["kind"], found["bins"], found["rows"]) == ("numeric", 2, 25)


def test_timestamps_far_from_zero_keep_their_spread(tmp_path: Path) -> None:
    seconds = 1_700_000_000 + np.random.default_rng(0).integers(0, 86_400, 5_000)
    found = of_rows(tmp_path, *map(str, seconds))
    assert (found["mean"], found["std"]) == pytest.approx((seconds.mean(), seconds.std()), rel=1e-12)
    assert found["bins"] == 32
    quantiles = found["quantiles"]
    assert isinstance(quantiles, dict)
    assert quantiles["p50"] == pytest.approx(np.median(seconds), abs=86_400 / 32)


def test_numbers_that_are_not_finite_are_counted_apart(tmp_path: Path) -> None:
    found = of_rows(tmp_path, "1", "inf", "-inf", "nan", "2")
    assert (found["pos_inf"], found["neg_inf"], found["nan"], found["mean"]) == (1, 1, 1, 1.5)


def test_a_column_of_numbers_and_texts_is_categories(tmp_path: Path) -> None:
    found = of_rows(tmp_path, "1", "many", "2")
    assert (found["kind"], found["labels"], found["cardinality"]) == ("category", ["1", "2", "many"], 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty; write a header line"),
        ("x,y\n", "x.csv: a profile needs at least one row; nothing was added"),
        ("x,y\n1,2\n3\n", "x.csv:3: the row has 1 fields, the header 2; complete or remove it"),
        ("1,2\n3,4\n", "looks like data; write a header line"),
        ("x,x\n1,2\n", "the column 'x' is there twice"),
    ],
)
def test_files_that_are_no_table_are_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    out = tmp_path / "x.profile"
    assert told in refusal("profile", "build", "--from", tmp_path / "x.csv", "--out", out)
    assert not out.exists()


def test_broken_and_newer_profiles_are_refused_by_every_command(parts: list[Path], tmp_path: Path) -> None:
    good = parts[0].read_bytes()
    for data, told in (
        (good[:500], "truncated"),
        (good.replace(b'"rows":2000', b'"rows":2001'), "was altered"),
        (re.sub(rb'"format_version":\d+', b'"format_version":99', good), "upgrade pilotfish"),
        (b"PK", "not a pilotfish profile"),
    ):
        bad = tmp_path / "bad.profile"
        bad.write_bytes(data)
        out = ["--out", tmp_path / "out.profile"]
        for command in (["show", bad], ["diff", parts[0], bad], ["merge", parts[0], bad, *out]):
            line = refusal("profile", *command)
            assert line.startswith(f"{bad}: ")
            assert told in line
        line = refusal("profile", "build", "--from", tmp_path / "jan.csv", "--edges-from", bad, *out)
        assert line.startswith(f"{bad}: ")
        assert told in line
