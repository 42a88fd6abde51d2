"""The public statistics: what the page shows is true, and every mistake has a defined answer."""

import doctest
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy import stats

import pilotfish.statistics
from pilotfish.detectors import Detector
from pilotfish.errors import ConfigurationError, PilotfishError, ProfileError, TableError, UsageError
from pilotfish.statistics import (
    NAMES,
    EDetector,
    Histogram,
    Profile,
    distance,
    distances,
    edetector,
    histogram,
    measured,
    profile,
)
from pilotfish.statistics.harm import LossDetector
from pilotfish.statistics.multivariate import JointDetector
from pilotfish.statistics.performance import ScoreTable

ROOT = Path(__file__).parent.parent
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# === documentation ===


def test_every_example_of_the_page_is_true() -> None:
    page = ROOT / "docs" / "python-statistics.md"
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 25
    assert found.failed == 0


def test_every_example_of_the_docstrings_is_true() -> None:
    attempted = 0
    for module in (pilotfish.statistics, profile, histogram, measured, edetector):
        found = doctest.testmod(module, optionflags=OPTIONS)
        assert found.failed == 0
        attempted += found.attempted
    assert attempted > 20


def test_the_page_has_a_row_for_every_distance() -> None:
    page = (ROOT / "docs" / "python-statistics.md").read_text()
    assert [name for name in NAMES if f"| `{name}` |" not in page] == []


# === profiles ===


def columns(seed: int = 0, rows: int = 3_000) -> dict[str, Any]:
    source = random(seed)
    return {"age": source.normal(40, 10, rows), "plan": source.choice(["basic", "gold"], rows).tolist()}


def test_arrays_frames_batches_and_files_make_the_same_profile(tmp_path: Path) -> None:
    held = columns()
    lines = (f"{age!r},{plan}\n" for age, plan in zip(held["age"].tolist(), held["plan"], strict=True))
    (tmp_path / "data.csv").write_text("age,plan\n" + "".join(lines))
    table = pa.table(held)
    built = {
        "mapping": Profile.build(held),
        "lists": Profile.build({"age": held["age"].tolist(), "plan": np.array(held["plan"])}),
        "file": Profile.build(tmp_path / "data.csv"),
        "table": Profile.build(table),
        "reader": Profile.build(pa.RecordBatchReader.from_batches(table.schema, table.to_batches(500))),
        "frame": Profile.build(Frame(held)),
    }
    assert {name: found.hash for name, found in built.items()} == dict.fromkeys(built, built["mapping"].hash)


class Frame:
    """What data frames of every library have in common."""

    def __init__(self, held: dict[str, Any]) -> None:
        self.columns = list(held)
        self._held = held

    def __getitem__(self, name: str) -> Any:
        return self._held[name]


class Nullable:
    """A column as pandas has it for integers with holes."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __iter__(self) -> Any:
        return iter(self._items)

    def isna(self) -> list[bool]:
        return [item is NotImplemented for item in self._items]


def test_missing_values_of_a_data_frame_are_missing() -> None:
    found = Profile.build({"n": Nullable([1, NotImplemented, 3]), "t": Nullable(["a", NotImplemented, "b"])})
    assert (found["n"].missing, found["n"].mean, found["t"].missing) == (1, 2.0, 1)


def test_an_array_is_the_columns_of_a_tensor() -> None:
    values = random().normal(size=(1_000, 2))
    assert [one.name for one in Profile.build(values, tensor="x").features] == ["x[0]", "x[1]"]
    assert [one.name for one in Profile.build(values, columns=["a", "b"]).features] == ["a", "b"]
    assert Profile.build(values[:, 0], tensor="x")["x"].rows == 1_000


def test_a_column_of_a_row_major_table_is_counted_without_being_contiguous() -> None:
    values = random().normal(size=(1_000, 3))
    histogram = Histogram(edges=[-5.0, 0.0, 5.0])
    histogram.add(values[:, 1])
    assert histogram.counts.tolist() == [(values[:, 1] < 0).sum(), (values[:, 1] >= 0).sum()]


def test_a_feature_is_described_by_its_values() -> None:
    ages = np.concatenate([columns()["age"], [np.nan, np.inf, -np.inf]])
    age = Profile.build({"age": ages})["age"]
    finite = ages[np.isfinite(ages)]
    assert (age.rows, age.missing, age.pos_inf, age.neg_inf) == (3_003, 1, 1, 1)
    assert (age.mean, age.std) == pytest.approx((finite.mean(), finite.std()), rel=1e-14)
    assert age.quantiles["p50"] == pytest.approx(np.median(finite), abs=1.0)
    assert sum(age.counts) == 3_000


def test_a_profile_survives_its_file(tmp_path: Path) -> None:
    built = Profile.build(columns(), model="m")
    built.save(tmp_path / "m.profile")
    loaded = Profile.load(tmp_path / "m.profile")
    assert (loaded, loaded.model, hash(loaded)) == (built, "m", hash(built))
    (tmp_path / "m.profile").write_bytes(built.to_bytes()[:-9])
    with pytest.raises(ProfileError, match=r"m\.profile: the profile is truncated"):
        Profile.load(tmp_path / "m.profile")
    with pytest.raises(ProfileError, match="no such profile"):
        Profile.load(tmp_path / "no.profile")


def test_parts_add_up_in_any_order() -> None:
    first = Profile.build(columns(0), model="m")
    second, third = (Profile.build(columns(seed), edges_from=first) for seed in (1, 2))
    assert first.merge(second, third) == third + (second + first)
    assert (first + second)["plan"].rows == 6_000


def test_some_features_of_a_profile_are_a_profile() -> None:
    whole = Profile.build(columns())
    assert [one.name for one in whole.only("age").features] == ["age"]
    assert whole.only("age") == Profile.build({"age": columns()["age"]})
    with pytest.raises(KeyError):
        whole.only("income")


@pytest.mark.parametrize(
    ("data", "error", "told"),
    [
        ({}, ProfileError, "at least one row"),
        ({"x": []}, ProfileError, "at least one row"),
        ({"x": [1.0], "y": [1.0, 2.0]}, TableError, "different numbers of rows: x 1, y 2"),
        ({"x": [[1.0], [2.0, 3.0]]}, TableError, "neither numbers nor texts"),
        ({"x": np.zeros((2, 2))}, TableError, "has 2 dimensions"),
        ({"x": ["a", object()]}, TableError, "neither a number nor a text"),
        (np.zeros((2, 2, 2)), TableError, "3 dimensions is no table"),
        (np.zeros((0, 2)), ProfileError, "at least one row"),
        ({"x": 5}, TableError, "the column 'x' is 5, a single value"),
        ({"x": "hello"}, TableError, "the column 'x' is 'hello', a single value"),
        ({"x": [10**400]}, TableError, "too large"),
        ({"x": np.zeros(2, complex)}, TableError, "neither numbers nor texts"),
        (
            {"x": np.zeros(2, "M8[ns]")},
            TableError,
            "holds times .datetime64.ns..; convert it, or leave it out",
        ),
        (pa.chunked_array([[1.0]]), TableError, "data of type ChunkedArray have no columns with names"),
        (pa.table([[1.0], [2.0]], names=["a", "a"]), TableError, "the column 'a' is there twice"),
        (
            pa.table({"t": pa.array([0], pa.timestamp("s"))}),
            TableError,
            "timestamp.s., neither numbers nor texts",
        ),
        (7, TableError, "data of type int"),
        ("no.csv", TableError, "no such file"),
    ],
)
def test_data_that_is_no_table_is_refused(data: Any, error: type[PilotfishError], told: str) -> None:
    with pytest.raises(error, match=told):
        Profile.build(data)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f8", "g", "i1", "u8", "?"])
def test_numbers_of_every_type_and_layout_are_the_same_column(kind: str) -> None:
    values = np.arange(60) % 2
    expected = Profile.build({"x": values.astype(float)})
    held = values.astype(kind)
    layouts = [
        held,
        np.repeat(held, 2)[::2],
        held[::-1][::-1],
        np.asfortranarray(np.stack([held] * 2, 1))[:, 1],
    ]
    for given in [*layouts, held.astype(object), held.tolist(), iter(held.tolist())]:
        assert Profile.build({"x": given}) == expected


def unaligned(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The same values, as a field of a structured array: 12 bytes apart."""
    held = np.zeros(values.shape, [("a", "i4"), ("b", "f8")])
    held["b"] = values
    return held["b"]


def test_values_between_which_other_fields_lie_are_read_right() -> None:
    values = random().random(4_000)
    given = unaligned(values)
    assert not given.flags.aligned
    assert Profile.build({"x": given}) == Profile.build({"x": values})
    counted, expected = Histogram(edges=[0.0, 0.3, 1.0]), Histogram(edges=[0.0, 0.3, 1.0])
    counted.add(given)
    expected.add(values)
    assert counted.counts.tolist() == expected.counts.tolist()
    assert LossDetector(given).evidence_bits == LossDetector(values).evidence_bits
    changed = np.concatenate([values, values + 4])
    for name in ("adwin", "page_hinkley", "kswin"):
        alarms = Detector(name).update_many(unaligned(changed))
        assert alarms.tolist() == Detector(name).update_many(changed).tolist() != []
    table = values.reshape(-1, 2)
    joint = JointDetector(table, features=8)
    assert np.array_equal(joint.project(unaligned(table)), joint.project(table))
    read, expected_scores = ScoreTable(), ScoreTable()
    read.update(given, values > 0.5)
    expected_scores.update(values, values > 0.5)
    assert np.array_equal(read.counts(), expected_scores.counts())


def test_what_is_masked_is_missing() -> None:
    masked = np.ma.masked_array(np.arange(10), mask=np.arange(10) > 6)
    found = Profile.build({"x": masked, "t": np.ma.masked_array(np.array(["a"] * 10), mask=masked.mask)})
    assert (found["x"].missing, found["x"].max, found["t"].missing) == (3, 6.0, 3)


def test_a_structured_array_has_named_columns() -> None:
    held = np.array([(1, 2.5), (2, 3.5)], dtype=[("a", "i4"), ("b", "f8")])
    assert Profile.build(held) == Profile.build({"a": [1.0, 2.0], "b": [2.5, 3.5]})


def test_columns_of_a_file_that_are_left_out_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",x,hp\n1,2,-\n2,3,5\n3,4,6\n")
    with pytest.warns(UserWarning, match="left out|is texts") as warned:
        found = Profile.build(tmp_path / "t.csv")
    assert [one.name for one in found.features] == ["hp", "hp.length", "x"]
    assert ["column 1 has no name" in str(warned[0].message), "because of '-'" in str(warned[1].message)] == [
        True
    ] * 2
    assert Path(warned[0].filename).name == Path(__file__).name


def test_mixed_columns_are_texts_and_holes_are_missing() -> None:
    mixed = Profile.build({"x": ["a", 1, None, float("nan"), ""]})["x"]
    assert (mixed.labels, mixed.missing) == (("1", "a"), 3)
    assert Profile.build({"x": [None, None]})["x"].missing == 2


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="bins is 1"):
        Profile.build(columns(), bins=1)
    with pytest.raises(UsageError, match=r"bins is 3\.5"):
        Profile.build(columns(), bins=3.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="direction is 'out'"):
        Profile.build(columns(), direction="out")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="outputs: there is no column 'z'; there are age, plan"):
        Profile.build(columns(), outputs=["z"])
    with pytest.raises(TableError, match="there is no column 'z'"):
        Profile.build(columns(), columns=["z"])
    with pytest.raises(TableError, match="1 names for an array of 2 columns"):
        Profile.build(np.zeros((3, 2)), columns=["a"])
    with pytest.raises(ProfileError, match="no such feature"):
        Profile.build({"other": [1.0]}, edges_from=Profile.build(columns()))


# === histograms and distances ===


def counted(values: npt.NDArray[np.float64], edges: npt.ArrayLike) -> Histogram:
    made = Histogram(edges=edges)
    made.add(values)
    return made


def test_distances_of_histograms_are_those_of_the_profile() -> None:
    ages, later = random(0).normal(size=5_000), random(1).normal(0.2, 1, 700)
    built = Profile.build({"age": ages})
    now = built.histogram("age").empty()
    now.add(later)
    found = distances(built, {"age": later})["age"]
    assert set(found) == set(NAMES)
    for name in NAMES:
        assert distance(name, built.histogram("age"), now) == found[name]
    assert found == distances(built, Profile.build({"age": later}, edges_from=built))["age"]


def test_brackets_contain_the_distances_of_the_values() -> None:
    was, now = random(0).normal(size=5_000), random(1).normal(0.2, 1, 700)
    edges = np.quantile(was, np.linspace(0, 1, 65))
    for name, exact in (
        ("ks", stats.ks_2samp(was, now).statistic),
        ("wasserstein", stats.wasserstein_distance(was, now)),
        ("wasserstein_normalized", stats.wasserstein_distance(was, now) / was.std()),
        ("energy", stats.energy_distance(was, now)),
        ("cramer_von_mises", stats.cramervonmises_2samp(was, now).statistic),
    ):
        found = distance(name, counted(was, edges), counted(now, edges))
        assert found.low is not None
        assert found.high is not None
        assert found.low - 1e-12 <= exact <= found.high + 1e-12, name


def test_counts_have_the_noise_of_their_sizes() -> None:
    found = distance("psi", [500, 300, 200], [40, 32, 28])
    fewer = distance("psi", [500, 300, 200], [4, 3, 3])
    assert found.expected is not None
    assert found.noise is not None
    assert fewer.noise is not None
    assert found.expected < found.noise < fewer.noise
    assert distance("psi", [500, 300, 200], [40, 32, 28], chance=0.1).noise < found.noise  # type: ignore[operator]
    assert distance("l_infinity", [5, 5], [3, 7]).value == pytest.approx(0.2)


def test_categories_have_no_order() -> None:
    labels = Histogram(labels=["a", "b"])
    labels.add(["a", "b", "c", None, "a"])
    assert (labels.counts.tolist(), labels.beside["unseen"], labels.beside["missing"]) == ([2, 1], 1, 1)
    assert labels.quantile(0.5) is None
    with pytest.raises(UsageError, match="needs an order"):
        distance("ks", labels, labels)
    assert float(distance("hellinger", labels, labels)) == 0.0


def test_histograms_add_up() -> None:
    one, other = (
        counted(random(0).normal(size=100), [-1, 0, 1]),
        counted(random(1).normal(size=50), [-1, 0, 1]),
    )
    assert (one + other).counts.tolist() == (one.counts + other.counts).tolist()
    assert (one + other).rows == 150
    with pytest.raises(UsageError, match="bins differ"):
        one + counted(np.zeros(1), [-1, 0, 2])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Histogram(), "either edges, values or labels"),
        (lambda: Histogram(edges=[1.0]), "2 to 65 finite numbers"),
        (lambda: Histogram(edges=[1.0, 0.0]), "ascending"),
        (lambda: Histogram(values=[1.0, 1.0]), "ascending"),
        (lambda: Histogram(labels=["a", "a"]), "different texts"),
        (lambda: Histogram(edges=["a", "b"]), "could not convert"),
        (lambda: Histogram(edges=[0.0, 1.0]).add(["a"]), "bins are numbers"),
        (lambda: distance("euclid", [1], [1]), "write one of psi"),
        (lambda: distance("psi", [1], [1, 2]), "same number of bins"),
        (lambda: distance("psi", [0], [1]), "at least one count"),
        (lambda: distance("psi", [1.5], [1.5]), "whole numbers"),  # type: ignore[call-overload]
        (lambda: distance("psi", [-1], [1]), "whole numbers"),
        (lambda: distance("wasserstein", [1, 2], [1, 2]), "two histograms, not counts"),
        (lambda: distances(Profile.build({"x": [1.0]}), {"x": []}), "have no rows"),
        (lambda: distance("psi", [1, 2], [1, 2], chance=0.9), "chance is 0.9"),
        (lambda: distance("psi", [1, 2], [1, 2], compat="river"), "write one of evidently"),  # type: ignore[call-overload]
        (lambda: distance("psi", [1, 2], [1, 2], compat="nannyml"), "nannyml has no 'psi' of bins"),
        (lambda: distance("psi", Histogram(edges=[0.0, 1.0]), [1]), "two histograms"),  # type: ignore[call-overload]
        (lambda: distance("psi", Histogram(edges=[0.0, 1.0]), Histogram(edges=[0.0, 1.0])), "is empty"),
        (lambda: distances(Profile.build({"x": [1.0]}), {"y": [1.0]}), "no column is a feature"),
        (lambda: distances(Profile.build({"x": [1.0, 2.0]}), {"x": ["a"]}), "bins are numbers"),
    ],
)
def test_mistakes_are_usage_errors_that_name_the_remedy(make: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        make()


def test_values_are_counted_from_many_threads_at_once() -> None:
    values = random().normal(size=400_000)
    shared = Histogram(edges=[-10.0, 0.0, 10.0])
    threads = [threading.Thread(target=shared.add, args=(part,)) for part in np.split(values, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.counts.tolist() == [(values < 0).sum(), (values >= 0).sum()]


# === compatibility: values that the libraries gave, see tests/e2e/test_compat.py ===


def test_compatible_distances_are_those_of_the_libraries() -> None:
    told = json.loads((ROOT / "tests" / "data" / "compat.json").read_text())
    assert len(told) == 60
    for one in told:
        found = float(distance(one["distance"], one["reference"], one["current"], compat=one["library"]))
        value = one["value"]
        assert found == value or abs(found - value) <= 1e-12 * max(1.0, abs(value)), one


# === the e-detector ===


def test_a_change_is_dated_and_a_calm_stream_is_silent() -> None:
    source = random(7)
    built = Profile.build({"x": source.normal(size=50_000)})
    detector = EDetector(built, pane_rows=100)
    assert detector.update(source.normal(size=50_000)) == []
    assert detector.rows == 50_000
    alarm, *_ = detector.update(source.normal(1.0, 1.0, 2_000))
    assert alarm.row <= 50_300
    assert alarm.change_from_row <= 50_000 <= alarm.change_to_row
    assert alarm.direction == "location up"
    evidence = detector.evidence()["x"]
    assert evidence.by_direction["location up"] <= evidence.bits


def test_new_categories_and_holes_are_changes() -> None:
    source = random(8)
    plans = source.choice(["basic", "gold"], 20_000).tolist()
    detector = EDetector(Profile.build({"plan": plans}).only("plan"), pane_rows=100)
    assert detector.update(source.choice(["basic", "gold"], 5_000).tolist()) == []
    (alarm, *_) = detector.update(["trial"] * 1_000)
    assert alarm.direction == "unseen up"
    missing = EDetector(Profile.build({"plan": plans}).only("plan"), pane_rows=100)
    (alarm, *_) = missing.update({"plan": [None] * 1_000})
    assert alarm.direction == "missing up"


def test_tables_and_frames_are_watched_as_mappings_are() -> None:
    profile = Profile.build(columns())
    moved = columns(1) | {"age": columns(1)["age"] + 20}
    expected = EDetector(profile, arl=np.int64(100_000)).update(moved)
    assert [alarm.feature for alarm in expected] == ["age"]
    table = pa.table(moved)
    for given in (table, table.to_batches()[0], Frame(moved)):
        assert EDetector(profile).update(given) == expected


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda held: EDetector(held, arl=0), ConfigurationError, "arl is 0"),
        (lambda held: EDetector(held, arl=-1), ConfigurationError, "arl is -1; use a whole number from 1"),
        (lambda held: EDetector(held, arl=1.5), ConfigurationError, "arl is 1.5; use a whole number from 1"),
        (lambda held: EDetector(held, arl=2**63), ConfigurationError, f"arl is {2**63}; use a whole number"),
        (lambda held: EDetector(held, pane_rows=2**32), ConfigurationError, f"pane_rows is {2**32}; use"),
        (
            lambda held: EDetector(held, tolerance=float("nan")),
            ConfigurationError,
            "tolerance is nan; use a fin",
        ),
        (lambda held: EDetector(held, tolerance=-1.0), ConfigurationError, "tolerance is -1"),
        (lambda held: EDetector(held, delta=0.0), ConfigurationError, "delta is 0"),
        (lambda held: EDetector(held, pane_rows=0), ConfigurationError, "pane_rows is 0"),
        (lambda held: EDetector(held).update([1.0]), UsageError, "3 features: give columns by name"),
        (lambda held: EDetector(held).update({"z": [1.0]}), UsageError, "no feature 'z'"),
        (lambda held: EDetector(held).update({"age": ["a"]}), UsageError, "the profile knows numbers"),
        (
            lambda held: EDetector(held).update({"age": [1.0], "plan": ["a", "b"]}),
            UsageError,
            "different numbers of rows",
        ),
    ],
)
def test_detectors_refuse_what_makes_no_sense(make: Any, error: type[PilotfishError], told: str) -> None:
    with pytest.raises(error, match=told):
        make(Profile.build(columns()))
