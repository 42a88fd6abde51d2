"""The sketches beside the Python library of Apache DataSketches: it reads them, agrees, and merges them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.process import PEERS

from pilotfish import _core
from pilotfish.statistics import Profile

pytestmark = pytest.mark.peers


def read(**asked: Any) -> dict[str, Any]:
    program = [str(PEERS / "datasketches/bin/python"), str(Path(__file__).with_name("sketch_reader.py"))]
    request = json.dumps({"distinct": [], "frequent": [], "add": [], **asked})
    done = subprocess.run(program, input=request, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def snapshot_of(texts: list[str]) -> dict[str, Any]:
    """What a live monitor shows of a categorical feature."""
    profile = Profile.build({"plan": ["a", "b"]}).only("plan")
    backtest = _core.Backtest(profile.to_bytes(), "{}")
    backtest.add_rows([("plan", "input", texts)])
    (feature,) = (one for one in json.loads(backtest.snapshot(True))["features"] if one["name"] == "plan")
    found: dict[str, Any] = feature
    return found


@pytest.mark.parametrize("count", [1, 7, 100, 1_000, 50_000])
def test_distinct_counts_of_numbers_and_texts_are_read_and_agree(count: int) -> None:
    numbers = np.arange(count) / 7
    profile = Profile.build({"x": numbers, "t": [f"text {n}" for n in range(count)]})
    sketches = [profile.distinct_sketch(name) for name in ("x", "t")]
    told = read(distinct=[sketch.hex() for sketch in sketches if sketch is not None])["distinct"]
    for name, (estimate, low, high) in zip(("x", "t"), told, strict=True):
        assert profile[name].cardinality == pytest.approx(min(estimate, count), abs=0.6)
        assert low <= count <= high or abs(estimate / count - 1) < 0.1


def test_parts_that_the_library_merges_are_those_that_a_profile_merges() -> None:
    first = Profile.build({"t": [f"text {n}" for n in range(3_000)]})
    second = Profile.build({"t": [f"text {n}" for n in range(2_000, 6_000)]}, edges_from=first)
    parts = [one.distinct_sketch("t") for one in (first, second)]
    told = read(distinct=[part.hex() for part in parts if part is not None])
    merged = first + second
    assert merged["t"].cardinality == pytest.approx(told["merged_distinct"], rel=0.01)
    assert merged["t"].cardinality == pytest.approx(6_000, rel=0.07)


def test_values_hash_as_the_library_hashes_them() -> None:
    texts = [f"text {n}" for n in range(500)]
    sketch = Profile.build({"t": texts}).distinct_sketch("t")
    assert sketch is not None
    alone = read(distinct=[sketch.hex()])["merged_distinct"]
    assert read(distinct=[sketch.hex()], add=texts)["merged_distinct"] == alone


def test_frequent_texts_of_the_live_snapshot_are_read_and_agree() -> None:
    random = np.random.default_rng(0)
    texts = [f"text {n}" for n in random.zipf(1.3, 20_000) % 5_000]
    feature = snapshot_of(texts)
    shown = feature["texts"]
    told = read(distinct=[shown["distinct_sketch"]], frequent=[shown["frequent_sketch"]])
    assert feature["cardinality"] == pytest.approx(told["distinct"][0][0], abs=0.6)
    known = {text: (low, high) for text, low, high in told["frequent"][0]}
    assert 10 <= len(shown["top"]) <= 20
    for one in shown["top"]:
        assert known[one["label"]] == (one["low"], one["high"])
        assert one["low"] <= texts.count(one["label"]) <= one["high"]


def test_frequent_texts_of_two_workers_add_up_in_the_library() -> None:
    sketches = [snapshot_of(texts)["texts"]["frequent_sketch"] for texts in (["a"] * 5 + ["b"], ["a", "c"])]
    told = read(frequent=sketches, add=["c"])["merged_frequent"]
    assert told == [["a", 6, 6], ["b", 1, 1], ["c", 2, 2]]
