"""The familiar detectors, as Python has them: arrays in, indices out, and what they say of bad input."""

import doctest
import json
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pilotfish import _core, detectors
from pilotfish.detectors import NAMES, Detector, Drift
from pilotfish.errors import ConfigurationError

BITS = {"ddm", "eddm"}
UNIT = {"hddm_a", "hddm_w"}


def changing(name: str) -> npt.NDArray[np.float64]:
    """5,000 values of one kind, then 5,000 of another."""
    random = np.random.default_rng(5)
    if name in BITS | UNIT:
        return np.concatenate([random.random(5000) < 0.1, random.random(5000) < 0.5]).astype(np.float64)
    return np.concatenate([random.normal(0, 1, 5000), random.normal(20, 1, 5000)])


@pytest.mark.parametrize("name", NAMES)
def test_a_change_is_found_soon_after_it(name: str) -> None:
    alarms = Detector(name).update_many(changing(name))
    assert alarms.dtype == np.int64
    assert ((alarms >= 5000) & (alarms < 5600)).any()


@pytest.mark.parametrize("name", NAMES)
def test_one_array_many_arrays_and_single_values_give_the_same_alarms(name: str) -> None:
    values = changing(name)
    whole = Detector(name).update_many(values).tolist()
    pieces, single = Detector(name), Detector(name)
    found = [
        start + int(at)
        for start in range(0, 10_000, 700)
        for at in pieces.update_many(values[start : start + 700])
    ]
    assert found == whole
    assert [at for at, value in enumerate(values) if single.update(value) == "drift"] == whole


@pytest.mark.parametrize("name", NAMES)
def test_missing_and_infinite_values_are_passed_over(name: str) -> None:
    values = changing(name)
    holes = np.insert(values, [0, 100, 5000], [np.nan, np.inf, -np.inf])
    whole = Detector(name).update_many(values)
    shift = np.searchsorted([0, 100, 5000], whole, side="right")
    assert Detector(name).update_many(holes).tolist() == (whole + shift).tolist()
    assert Detector(name).update_many(np.full(1000, np.nan)).size == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [0, 1, 5000])
def test_nothing_one_value_and_a_constant_are_no_drift(name: str, length: int) -> None:
    assert Detector(name).update_many(np.ones(length)).size == 0


@pytest.mark.parametrize("name", ["adwin", "cusum", "kswin", "page_hinkley"])
def test_huge_and_tiny_numbers_are_no_accident(name: str) -> None:
    random = np.random.default_rng(1)
    for scale in (1e-300, 1e300, 1.7e308, 5e-324):
        Detector(name).update_many(random.choice([-1.0, 0.0, 1.0], 3000) * scale)
    far = 1.7e18 + random.normal(0, 1e15, 3000)
    assert Detector("adwin").update_many(far).size == 0


@pytest.mark.parametrize("name", sorted(BITS | UNIT))
def test_a_value_it_cannot_judge_is_refused_before_any_is_taken_in(name: str) -> None:
    detector = Detector(name)
    says = rf"{name} takes .*: got 3 at index 2; give it those, or use another detector"
    with pytest.raises(ValueError, match=says):
        detector.update_many([1, 0, 3])
    with pytest.raises(ValueError, match="got -1 at index 0"):
        detector.update(-1)
    values = changing(name)
    assert detector.update_many(values).tolist() == Detector(name).update_many(values).tolist()


def test_a_drift_is_dated_and_has_a_side() -> None:
    values = np.concatenate([np.arange(1_000) % 2, 4 + np.arange(1_000) % 4])
    assert Detector("page_hinkley").drifts(values) == [Drift(1010, 999, "up")]
    detector = Detector("cusum", mean=0.5, deviation=0.5)
    assert detector.drifts(values[:1000]) == []
    (drift, *_) = detector.drifts(values[1000:])
    assert (drift.change_index, drift.side) == (-1, "up")
    (kswin, *_) = Detector("kswin").drifts(changing("kswin"))
    assert kswin.side is None


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("adwim", {}, "use one of adwin, cusum"),
        ("adwin", {"detla": 0.1}, "expected one of `delta`"),
        ("adwin", {"delta": 2}, "delta is 2; use a number between 0 and 1"),
        ("adwin", {"delta": "x"}, "invalid type"),
        ("adwin", {"delta": object()}, "not JSON serializable"),
        ("kswin", {"seed": -1}, "invalid value"),
        ("page_hinkley", {"mode": "sideways"}, "expected one of `up`, `down`, `both`"),
        ("cusum", {"threshold": float("nan")}, "expected value"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_remedy(
    name: str, parameters: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Detector(name, **parameters)


def test_arrays_of_any_type_and_layout_are_read() -> None:
    values = changing("adwin")
    expected = Detector("adwin").update_many(values).tolist()
    table = np.stack([values, values], axis=1)
    assert Detector("adwin").update_many(table[:, 1]).tolist() == expected
    assert Detector("adwin").update_many(list(values)).tolist() == expected
    with pytest.raises(TypeError):
        Detector("adwin").update_many(table)


def test_threads_may_share_a_detector() -> None:
    detector = Detector("adwin")
    threads = [threading.Thread(target=detector.update_many, args=(np.zeros(50_000),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert detector.update_many(np.full(1000, 9.0)).size


def test_the_alarms_are_those_of_river() -> None:
    """All settings and all streams are compared in Rust; this is the way through Python."""
    recorded = json.loads((Path(__file__).parent / "data/detectors.json").read_text())
    assert recorded["river"] == "0.23.0"
    assert {case["detector"] for case in recorded["cases"]} == set(NAMES) - {"cusum"}
    stream = splitmix(recorded["streams"]["bits"])
    for case in recorded["cases"]:
        if case["stream"] == "bits":
            found = _core.Detector(case["detector"], **case["settings"]).update_many(stream)
            assert found.tolist() == case["alarms"], case["detector"]


def splitmix(description: dict[str, object]) -> npt.NDArray[np.float64]:
    """The stream of bits of tests/data/detectors.py."""
    segments = [(int(rows), level) for rows, level, _ in description["segments"]]  # type: ignore[attr-defined]
    levels = np.concatenate([np.full(rows, level) for rows, level in segments])
    steps = np.arange(1, len(levels) + 1, dtype=np.uint64)
    word = steps * np.uint64(0x9E3779B97F4A7C15) + np.uint64(description["seed"])  # type: ignore[call-overload]
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((word ^ (word >> np.uint64(31))) >> np.uint64(11)) / 2**53
    return (uniform < levels).astype(np.float64)


def test_the_examples_of_the_module_run() -> None:
    assert doctest.testmod(detectors).failed == 0
