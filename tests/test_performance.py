"""Performance without labels: what counts of scores promise, and what labels make of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.data.car_loan import counted, recorded
from tests.e2e.process import PEERS

from pilotfish.errors import ProfileError
from pilotfish.statistics import performance
from pilotfish.statistics.performance import ScoreTable

GOLDEN = json.loads((Path(__file__).parent / "data" / "car_loan.json").read_text())
HALF_A_POINT = 0.005


def golden(part: str) -> ScoreTable:
    return ScoreTable.from_json(json.dumps(GOLDEN[part]))


def scored(rows: int, seed: int, power: float = 1.0, flip: bool = False) -> ScoreTable:
    """Rows whose labels follow the score, or do the opposite."""
    random = np.random.default_rng(seed)
    scores = random.random(rows) ** power
    labels = random.random(rows) < (1 - scores if flip else scores)
    table = ScoreTable()
    table.update(scores, scores >= 0.5, labels)
    return table


@pytest.mark.parametrize("part", ["before", "after"])
def test_accuracy_is_estimated_within_half_a_point_from_counts_alone(part: str) -> None:
    found = performance.gap(golden(part), golden("reference"))
    assert found.accuracy is not None
    assert abs(found.accuracy) < HALF_A_POINT
    for figure in ("f1", "roc_auc"):
        assert abs(getattr(found.estimated, figure) - getattr(found.realised, figure)) < HALF_A_POINT, figure


def test_labels_of_the_rows_estimated_do_not_matter() -> None:
    labelled, table = golden("after"), json.loads(golden("after").to_json())
    for tables in table["classes"]:
        tables["positives"] = [[0, 0]] * len(tables["positives"])
    unlabelled = ScoreTable.from_json(json.dumps(table))
    reference = golden("reference")
    assert performance.estimate(unlabelled, reference) == performance.estimate(labelled, reference)


@pytest.mark.peers
def test_the_recorded_table_gives_the_golden_counts_and_half_a_point() -> None:
    parts = recorded(PEERS / "nannyml" / "nannyml" / "datasets" / "data")
    for part, rows in parts.items():
        table = counted(rows)
        assert table.to_json() == golden(part).to_json()
        exact = float((rows[:, 1] == rows[:, 2]).mean())
        assert performance.realised(table).accuracy == pytest.approx(exact, abs=1e-12)
        estimated = performance.estimate(table, golden("reference")).accuracy
        assert estimated is not None
        assert abs(estimated - exact) < HALF_A_POINT


def test_concept_drift_shows_in_the_gap_only() -> None:
    reference = scored(40_000, 1)
    calm = performance.gap(scored(20_000, 2), reference)
    drifted = performance.gap(scored(20_000, 3, flip=True), reference)
    assert calm.accuracy is not None
    assert drifted.accuracy is not None
    assert drifted.estimated.accuracy == pytest.approx(calm.estimated.accuracy, abs=0.01)
    assert abs(calm.accuracy) < 4 * calm.estimated.accuracy_noise
    assert drifted.accuracy < -100 * drifted.estimated.accuracy_noise


def test_bold_scores_are_calibrated_and_honest_ones_are_left() -> None:
    random = np.random.default_rng(4)
    scores = random.random(50_000)
    bold = ScoreTable()
    bold.update(scores, scores >= 0.5, random.random(50_000) < 0.5 + 0.2 * (scores - 0.5))
    (found,) = bold.calibration()
    assert found.probabilities is not None
    middle = found.probabilities[8:-8]
    assert 0.38 < middle[0] < middle[-1] < 0.62
    assert found.error_after is not None
    assert found.error_before is not None
    assert found.error_after < found.error_before / 5


def test_three_classes_are_each_against_the_rest() -> None:
    random = np.random.default_rng(6)

    def table(rows: int, sharpness: float) -> tuple[ScoreTable, float]:
        raw = random.random((rows, 3)) ** sharpness
        scores = raw / raw.sum(axis=1, keepdims=True)
        labels = (scores.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1)
        predicted = scores.argmax(axis=1)
        counts = ScoreTable(3)
        counts.update(scores, predicted, labels)
        return counts, float((predicted == labels).mean())

    reference, _ = table(30_000, 2.0)
    live, exact = table(30_000, 4.0)
    assert performance.realised(live).accuracy == pytest.approx(exact, abs=1e-12)
    estimated = performance.estimate(live, reference)
    assert estimated.accuracy == pytest.approx(exact, abs=0.01)
    assert estimated.f1 == pytest.approx(performance.realised(live).f1, abs=0.015)


def test_tables_of_processes_add_up() -> None:
    whole, part = scored(1_000, 7), scored(500, 8)
    merged = ScoreTable()
    merged.merge(part)
    merged.merge(whole)
    assert merged.rows == 1_500
    assert (merged.counts() == whole.counts() + part.counts()).all()


def test_labels_of_different_age_are_not_compared() -> None:
    young, old = ScoreTable(label_age_s=60), ScoreTable(label_age_s=86_400)
    for call in (young.merge, lambda other: performance.estimate(young, other)):
        with pytest.raises(ValueError, match="different age are not comparable"):
            call(old)


def test_bad_input_is_named() -> None:
    table = ScoreTable()
    with pytest.raises(ValueError, match="2 scores, 1 predictions"):
        table.update([0.1, 0.2], [True])
    with pytest.raises(ValueError, match="write booleans, or 0 and 1"):
        table.update([0.1], [2])
    with pytest.raises(ValueError, match="one column for each of 3 classes"):
        ScoreTable(3).update([0.1], [0])
    with pytest.raises(ValueError, match="65 classes"):
        ScoreTable(65)
    with pytest.raises(ValueError, match="no score table"):
        ScoreTable.from_json('{"classes": [{}], "label_age_s": null}')
    table.update([float("nan"), 1.5, 0.5], [True, True, True])
    assert (table.rows, table.beside) == (1, 2)
    assert performance.realised(ScoreTable()).accuracy is None


def test_a_table_travels_in_the_profile(tmp_path: Path) -> None:
    path, table = tmp_path / "loan.profile", scored(500, 9)
    table.label_age_s = 3_600
    builder = performance._core.ProfileBuilder("loan")
    builder.add_numbers("proba", "output", np.random.default_rng(0).random(100))
    path.write_bytes(builder.finish())
    assert ScoreTable.from_profile(path) is None
    table.into_profile(path, "proba")
    read = ScoreTable.from_profile(path)
    assert read is not None
    assert read.to_json() == table.to_json()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ProfileError):
        ScoreTable.from_profile(path)
