"""Data files as columns, and the features that are made of them."""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyarrow import parquet

from pilotfish import _core, profile, table
from pilotfish.errors import TableError
from pilotfish.settings import load
from pilotfish.statistics.features import Plan, build, feature_names, features
from pilotfish.testing.model import MODEL_INFER, infer_request, infer_response


def written(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def whole(opened: table.Table) -> dict[str, list[object]]:
    """All rows of every column."""
    rows: dict[str, list[object]] = {name: [] for name in opened.kinds}
    for chunk in opened.chunks():
        for name, values in chunk.items():
            rows[name].extend(values)
    return rows


def refusal(path: Path, columns: list[str] | None = None) -> str:
    with pytest.raises(TableError) as caught:
        whole(table.read(path, columns))
    return str(caught.value).removeprefix(f"{path.parent}/")


# === CSV ===


def test_columns_are_numbers_or_texts(tmp_path: Path) -> None:
    opened = table.read(written(tmp_path, "age,city\n1,Bern\n2.5,Ulm\n"))
    assert opened.kinds == {"age": "numbers", "city": "texts"}
    assert whole(opened) == {"age": [1.0, 2.5], "city": ["Bern", "Ulm"]}


def test_what_a_column_holds_is_decided_from_all_rows(tmp_path: Path) -> None:
    rows = "".join(f"{n}\n" for n in range(table.CHUNK_ROWS + 5)) + "unknown\n"
    opened = table.read(written(tmp_path, f"code\n{rows}"))
    assert opened.kinds == {"code": "texts"}
    assert len(whole(opened)["code"]) == table.CHUNK_ROWS + 6


def test_missing_numbers_are_nan_and_missing_texts_none(tmp_path: Path) -> None:
    opened = table.read(written(tmp_path, "x,y\n,\nNaN,a\nnull,b\nN/A,c\n1,d\n"))
    assert opened.kinds == {"x": "numbers", "y": "texts"}
    found = whole(opened)
    np.testing.assert_equal(found["x"], [np.nan, np.nan, np.nan, np.nan, 1.0])
    assert found["y"] == [None, "a", "b", "c", "d"]


def test_infinity_truth_and_exponents_are_numbers(tmp_path: Path) -> None:
    found = whole(table.read(written(tmp_path, "x\ninf\n-inf\ntrue\nFalse\n1e-3\n")))
    assert found == {"x": [np.inf, -np.inf, 1.0, 0.0, 0.001]}


def test_digits_with_underscores_are_texts(tmp_path: Path) -> None:
    assert table.read(written(tmp_path, "x\n1_000\n")).kinds == {"x": "texts"}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_header_tells_what_separates_fields(tmp_path: Path, mark: str) -> None:
    found = whole(table.read(written(tmp_path, f"x{mark}y\n1{mark}2\n")))
    assert found == {"x": [1.0], "y": [2.0]}


def test_quoted_fields_may_hold_separators_and_line_breaks(tmp_path: Path) -> None:
    found = whole(table.read(written(tmp_path, 'x,y\n1,"a,b\nc"\n2,"say ""hi"""\n')))
    assert found == {"x": [1.0, 2.0], "y": ["a,b\nc", 'say "hi"']}


def test_chosen_columns_come_in_the_order_chosen(tmp_path: Path) -> None:
    opened = table.read(written(tmp_path, "a,b,c\n1,2,3\n"), ["c", "a"])
    assert list(opened.kinds) == ["c", "a"]
    assert whole(opened) == {"c": [3.0], "a": [1.0]}


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path: Path) -> None:
    assert list(table.read(written(tmp_path, "\ufeffa\n1\n")).kinds) == ["a"]


def test_a_comma_is_the_decimal_sign_where_it_does_not_separate(tmp_path: Path) -> None:
    found = whole(table.read(written(tmp_path, "x;y\n0,5;a\n-12,25e1;b\n3;c\n,5;d\n")))
    assert found == {"x": [0.5, -122.5, 3.0, 0.5], "y": ["a", "b", "c", "d"]}
    quoted = table.read(written(tmp_path, 'x,y\n"0,5",1\n'))
    assert quoted.kinds == {"x": "texts", "y": "numbers"}


@pytest.mark.parametrize("name", ["data.csv.gz", "data.tsv.gz", "DATA.CSV.GZ"])
def test_a_packed_file_is_unpacked_while_it_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"x\ty\n1\ta\n2\tb\n"))
    assert whole(table.read(path)) == {"x": [1.0, 2.0], "y": ["a", "b"]}
    path.write_bytes(path.read_bytes()[:-9])
    assert "is not a gzip file that can be read" in refusal(path)
    path.write_bytes(b"x\n1\n")
    assert "is not a gzip file that can be read" in refusal(path)


def test_tabs_separate_the_fields_of_a_tsv_file(tmp_path: Path) -> None:
    path = written(tmp_path, "a, b\tc\n1\t2\n", "data.tsv")
    assert whole(table.read(path)) == {"a, b": [1.0], "c": [2.0]}


def test_empty_lines_above_the_header_are_no_header(tmp_path: Path) -> None:
    found = whole(table.read(written(tmp_path, "\n\r\nx;y\n1;2\n")))
    assert found == {"x": [1.0], "y": [2.0]}


@pytest.mark.parametrize("header", ["0,1,2", ",0,1,2"])
def test_columns_may_be_called_by_their_place(tmp_path: Path, header: str) -> None:
    row = "5," * header.count(",") + "6"
    assert list(whole(table.read(written(tmp_path, f"{header}\n{row}\n")))) == ["0", "1", "2"]


@pytest.mark.parametrize("header", ["0", "0,1", "1,2,4", "0.0,1.0,2.0", ",,1"])
def test_a_line_of_other_numbers_is_no_header(tmp_path: Path, header: str) -> None:
    assert "looks like data" in refusal(written(tmp_path, f"{header}\n{header}\n"))


def ordered(path: Path) -> list[str]:
    """What is said of the order of all rows."""
    read = table.Ordered(table.read(path))
    whole(read)
    return [note.partition(" from row to row")[0] for note in read.order()]


def test_columns_that_only_rise_or_fall_are_said(tmp_path: Path) -> None:
    rows = table.CHUNK_ROWS + 7
    days = [f"2024-{1 + n // 1400:02}-{1 + n // 50 % 28:02}" for n in range(rows)]
    lines = (f"{n if n % 9 else ''},{-(n // 3)},{days[n]},{n % 3},{n * 7 % 11},1\n" for n in range(rows))
    path = written(tmp_path, "id,down,day,class,mixed,same\n" + "".join(lines))
    assert ordered(path) == [
        "the column 'id' only rises",
        "the column 'down' only falls",
        "the column 'day' only rises",
    ]


def test_few_steps_in_one_direction_are_chance(tmp_path: Path) -> None:
    grown = "".join(f"{n}\n" for n in range(10))
    assert not ordered(written(tmp_path, f"x\n{grown}"))
    assert ordered(written(tmp_path, f"x\n{grown}10\n"))
    assert not ordered(written(tmp_path, f"x\n{grown}10\n9\n"))


def test_a_separator_in_a_quoted_name_separates_nothing(tmp_path: Path) -> None:
    found = whole(table.read(written(tmp_path, 'a;"b, total"\n1;2\n')))
    assert found == {"a": [1.0], "b, total": [2.0]}


@pytest.mark.parametrize("text", [",a\n1,5\n2,6\n", "a,\n5,\n6,\n", "a,,\n5,x,\n6,y,\n"])
def test_a_column_without_a_name_is_left_out_and_said(tmp_path: Path, text: str) -> None:
    opened = table.read(written(tmp_path, text))
    assert whole(opened) == {"a": [5.0, 6.0]}
    assert table.header(tmp_path / "data.csv") == ["a"]
    (note,) = opened.notes
    assert "no name, left out; write one into the header to use it" in note


def test_columns_that_are_left_out_are_not_read(tmp_path: Path) -> None:
    path = written(tmp_path, "id,a,a\n1,2,3\n")
    assert whole(table.read(path, ["id"])) == {"id": [1.0]}
    assert whole(table.read(path, without=frozenset({"a"}))) == {"id": [1.0]}
    with pytest.raises(TableError, match="the column 'a' is there twice"):
        table.read(path)


@pytest.mark.parametrize(
    "missing", ["", "NA", "n/a", "<NA>", "#N/A", "NaN", "-nan", "NULL", "None", "NaT", "?"]
)
def test_missing_numbers_are_written_in_many_ways(tmp_path: Path, missing: str) -> None:
    np.testing.assert_equal(
        whole(table.read(written(tmp_path, f"x,y\n1,a\n{missing},b\n"))),
        {"x": [1.0, np.nan], "y": ["a", "b"]},
    )


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            ["1", "2", "~", "4"],
            "the column 'x' is texts, because of '~' in row 3: the rows around it have num",
        ),
        (["$1,234", "$1"], "the column 'x' is texts, because of '$1,234' in row 1: write numbers in digits"),
        (["1.000,5", "2"], "the column 'x' is texts, because of '1.000,5' in row 1: write numbers in digits"),
        (["5 %", "7 %"], "the column 'x' is texts, because of '5 %' in row 1: write numbers in digits"),
    ],
)
def test_texts_that_look_like_numbers_are_said(tmp_path: Path, values: list[str], says: str) -> None:
    opened = table.read(written(tmp_path, "y;x\n" + "".join(f"1;{value}\n" for value in values)))
    assert opened.kinds == {"y": "numbers", "x": "texts"}
    (note,) = opened.notes
    assert note.startswith(says)


def test_a_text_behind_many_numbers_is_said_with_its_row(tmp_path: Path) -> None:
    rows = "".join(f"{n}\n" for n in range(table.CHUNK_ROWS + 5))
    (note,) = table.read(written(tmp_path, f"x\n{rows}unknown\n")).notes
    assert f"because of 'unknown' in row {table.CHUNK_ROWS + 6}" in note


@pytest.mark.parametrize(
    "values", [["a", "b", "1"], ["2020-01-01", "2020-01-02"], ["yes", "no"], ["1st", "2nd"]]
)
def test_plain_texts_need_no_word(tmp_path: Path, values: list[str]) -> None:
    assert not table.read(written(tmp_path, "x\n" + "\n".join(values) + "\n")).notes


def test_no_more_than_a_chunk_is_held(tmp_path: Path) -> None:
    rows = "".join(f"{n}\n" for n in range(2 * table.CHUNK_ROWS + 1))
    sizes = [len(chunk["x"]) for chunk in table.read(written(tmp_path, f"x\n{rows}")).chunks()]
    assert sizes == [table.CHUNK_ROWS, table.CHUNK_ROWS, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "data.csv: is empty; write a header line with the names of the columns"),
        ("sep=;\na;b\n1;2\n", "data.csv:1: 'sep=;' is a note for spreadsheets; take the line out"),
        ("1,2\n3,4\n", "data.csv:1: looks like data; write a header line with the names of"),
        ("a,a\n1,2\n", "data.csv:1: the column 'a' is there twice; give each its own name"),
        ("a,b\n1,2\n3\n", "data.csv:3: the row has 1 fields, the header 2; complete or remove it"),
        ('a,b\n1,"2\n', "data.csv:2: is not CSV: unexpected end of data; check the quotes there"),
        ('"a" b,c\n1,2\n', "data.csv:1: is not CSV: ',' expected after '\"'; check the quotes there"),
        ("a\n" + "x" * 140_000, "data.csv:2: a field is longer than 131,072 characters; check the quotes"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    assert refusal(written(tmp_path, text)).startswith(says)


def test_a_missing_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n1,2\n")
    assert refusal(path, ["c"]) == "data.csv: has no column 'c'; it has a, b"


def test_what_is_neither_csv_nor_parquet_is_refused(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "{}", "data.json")).startswith("data.json: cannot tell what the file is")
    assert refusal(tmp_path / "none.csv") == "none.csv: no such file; check the path"
    (tmp_path / "old.arrow").write_bytes(b"FEA1" + bytes(100) + b"FEA1")
    assert "is a Feather file of version 1; write it anew as version 2" in refusal(tmp_path / "old.arrow")
    (tmp_path / "latin.csv").write_bytes(b"a\n\xff\n")
    assert refusal(tmp_path / "latin.csv").startswith("latin.csv: is not UTF-8 text")


# === Parquet ===


def test_parquet_gives_the_same_columns_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    columns = {
        "f": pa.array([1.5, None, float("inf")], pa.float32()),
        "i": pa.array([1, None, 3], pa.int64()),
        "b": pa.array([True, False, None]),
        "d": pa.array([1, None, 2], pa.decimal128(5, 2)),
        "s": pa.array(["a", None, "c"]),
        "c": pa.array(["a", "b", "a"]).dictionary_encode(),
        "y": pa.array([b"\xff", None, b""]),
    }
    parquet.write_table(pa.table(columns), path)
    opened = table.read(path)
    assert {name for name, kind in opened.kinds.items() if kind == "texts"} == {"s", "c", "y"}
    found = whole(opened)
    np.testing.assert_equal(found["f"], [1.5, np.nan, np.inf])
    np.testing.assert_equal(found["i"], [1.0, np.nan, 3.0])
    np.testing.assert_equal(found["b"], [1.0, 0.0, np.nan])
    np.testing.assert_equal(found["d"], [1.0, np.nan, 2.0])
    assert (found["s"], found["c"], found["y"]) == (["a", None, "c"], ["a", "b", "a"], [b"\xff", None, b""])


def test_large_parquet_files_come_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    parquet.write_table(pa.table({"x": np.arange(table.CHUNK_ROWS * 2.0 + 3)}), path, row_group_size=10_000)
    sizes = [len(chunk["x"]) for chunk in table.read(path).chunks()]
    assert sum(sizes) == table.CHUNK_ROWS * 2 + 3
    assert max(sizes) <= table.CHUNK_ROWS


def test_a_column_that_is_neither_numbers_nor_texts_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    when = pa.array([0], pa.timestamp("us"))
    parquet.write_table(pa.table({"x": [1.0], "l": pa.array([[1, 2]]), "when": when, "": [1]}), path)
    opened = table.read(path)
    assert whole(opened) == {"x": [1.0]}
    assert [note.partition(" is of type ")[0] for note in opened.notes[1:]] == [
        "the column 'l'",
        "the column 'when'",
    ]
    assert opened.notes[0] == "column 4 has no name, left out; write one into the header to use it"
    assert refusal(path, ["x", "l"]).startswith("data.parquet: the column 'l' is of type list<")
    assert not table.read(path, ["x"]).notes


def test_a_file_of_nothing_that_can_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    parquet.write_table(pa.table({"when": pa.array([0], pa.timestamp("us"))}), path)
    assert refusal(path) == (
        "data.parquet: has no column of numbers or texts; "
        "the column 'when' is of type timestamp[us], neither numbers nor texts; left out"
    )


@pytest.mark.parametrize("kind", ["string_view", "large_string", "large_binary"])
def test_texts_of_every_layout_are_texts(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.arrow"
    held = pa.table({"x": pa.array(["a", None], getattr(pa, kind)())})
    with pa.ipc.new_file(path, held.schema) as file:
        file.write_table(held)
    opened = table.read(path)
    assert opened.kinds == {"x": "texts"}
    assert [one and (one.decode() if isinstance(one, bytes) else one) for one in whole(opened)["x"]] == [
        "a",
        None,
    ]


def test_a_file_that_only_is_called_parquet_is_refused(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "x\n1\n", "data.parquet")).startswith(
        "data.parquet: is not a Parquet file that can be read"
    )


def test_parquet_without_pyarrow_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = written(tmp_path, "", "data.parquet")
    says = "data.parquet: reading Parquet or Arrow needs pyarrow; run: pip install 'pilotfish[parquet]'"
    assert refusal(path) == says


# === features ===


def of(plan: Plan, chunk: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    return ((name, values) for name, _, values in features(chunk, plan))  # type: ignore[arg-type]


def test_columns_of_a_tensor_are_numbered_and_a_single_one_is_not() -> None:
    assert feature_names(["a", "b"], "x") == {"a": "x[0]", "b": "x[1]"}
    assert feature_names(["a"], "x") == {"a": "x"}
    assert feature_names(["a", "b"], None) == {"a": "a", "b": "b"}


def test_a_text_has_its_length_in_bytes_beside_it() -> None:
    plan = Plan("m", 32, "input", None)
    found = dict(of(plan, {"city": ["Zürich", None, b"Ulm"]}))
    assert found["city"] == ["Zürich", None, b"Ulm"]
    np.testing.assert_equal(found["city.length"], [7.0, np.nan, 3.0])


def test_a_vector_of_scores_has_its_class_and_score() -> None:
    plan = Plan("m", 32, "output", "p")
    chunk = {"no": np.array([0.9, 0.2, np.nan]), "yes": np.array([0.1, 0.8, 0.5])}
    found = dict(of(plan, chunk))
    assert list(found) == ["p[0]", "p[1]", "p.class", "p.score"]
    np.testing.assert_equal(found["p.class"], [0.0, 1.0])
    np.testing.assert_equal(found["p.score"], [0.9, 0.8])


def test_columns_that_are_sent_to_the_model_are_no_scores() -> None:
    chunk = {"a": np.array([1.0]), "b": np.array([2.0])}
    assert list(dict(of(Plan("m", 32, "input", "x"), chunk))) == ["x[0]", "x[1]"]


def test_answers_beside_the_columns_of_a_tensor_keep_their_names() -> None:
    chunk = {"a": np.array([1.0]), "b": np.array([2.0]), "label": np.array([3.0])}
    found = features(chunk, Plan("m", 32, "input", "x", frozenset({"label"})))
    assert [(name, direction) for name, direction, _ in found] == [
        ("x[0]", "input"),
        ("x[1]", "input"),
        ("label", "output"),
    ]


def test_a_profile_built_from_a_file_is_the_one_that_live_calls_would_teach(tmp_path: Path) -> None:
    rows = 300
    random = np.random.default_rng(3)
    sent = random.normal(size=(rows, 3)).astype(np.float32)
    scores = random.dirichlet([1, 1, 1], rows).astype(np.float32)
    label = scores.argmax(axis=1)
    columns = {f"a{n}": sent[:, n] for n in range(3)} | {"label": label}
    parquet.write_table(pa.table(columns), tmp_path / "train.parquet")
    plan = Plan("m", 32, "input", "x", frozenset({"label"}))
    built = profile.check(build(table.read(tmp_path / "train.parquet"), plan))
    learned = profile.check(taught(sent, label))
    assert [feature["name"] for feature in built["features"]] == ["x[0]", "x[1]", "x[2]", "label"]
    for one, other in zip(built["features"], learned["features"], strict=True):
        assert one.pop("quantiles") == pytest.approx(other.pop("quantiles"))
        assert one == pytest.approx(other)


def taught(sent: npt.NDArray[np.float32], label: npt.NDArray[np.int64]) -> bytes:
    """The profile an engine learns from one call for each row."""
    learning = {"PILOTFISH_MONITOR__LEARN_ROWS": str(len(sent))}
    engine = _core.Engine(load(None, learning, {"upstream": "a:1"}).engine_configuration(), {}, 0)
    try:
        for row in range(len(sent)):
            request = infer_request("m", {"x": sent[row : row + 1]})
            response = infer_response("m", {"label": label[row : row + 1]})
            decision = engine.decide(MODEL_INFER, (), row)
            size = len(request), len(response)
            if engine.observe(decision, 0, 1000, 900, row, request, response, *size) is not None:
                engine.settle(None)
        assert engine.flush(10.0)
        learned = engine.learned_profile("v1")
        assert learned is not None
        return learned
    finally:
        engine.close()
