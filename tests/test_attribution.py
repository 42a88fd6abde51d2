"""What labels tell: that a model does harm, and whether its inputs or its concept have changed."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from tests.data import concepts

from pilotfish.errors import ConfigurationError
from pilotfish.statistics import attribution
from pilotfish.statistics.attribution import AttributionDetector, Split
from pilotfish.statistics.harm import LossDetector

REFERENCE_ROWS, CALM_ROWS, CHANGED_ROWS = 20_000, 5_000, 5_000
Scored = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def sea(seed: int, before: int, after: int, shift: float) -> tuple[Scored, Scored, Scored]:
    """Reference, rows before and rows after a change of the concept, or of the inputs by ``shift``."""
    random = np.random.default_rng(seed)

    def moved(rows: int) -> concepts.Inputs:
        inputs = concepts.sea_inputs(random, rows)
        inputs[:, 0] = 10 * (inputs[:, 0] / 10) ** np.exp(-shift)
        return inputs

    inputs = concepts.sea_inputs(random, REFERENCE_ROWS)
    model = concepts.logistic_model(inputs, concepts.sea_labels(random, inputs, before))
    calm, changed = concepts.sea_inputs(random, CALM_ROWS), moved(CHANGED_ROWS)
    fresh = concepts.sea_inputs(random, REFERENCE_ROWS)
    parts = ((fresh, before), (calm, before), (changed, after))
    scored = [(model(rows), concepts.sea_labels(random, rows, concept)) for rows, concept in parts]
    return scored[0], scored[1], scored[2]


def stagger(seed: int, before: int, after: int, shift: float) -> tuple[Scored, Scored, Scored]:
    random = np.random.default_rng(seed)

    def moved(rows: int) -> concepts.Inputs:
        """A share of the rows becomes small, red and a circle: one in five is by itself."""
        inputs = concepts.stagger_inputs(random, rows)
        inputs[random.random(rows) < shift] = 0
        return inputs

    inputs = concepts.stagger_inputs(random, REFERENCE_ROWS)
    model = concepts.table_model(inputs, concepts.stagger_labels(random, inputs, before))
    parts = (
        (inputs, before),
        (concepts.stagger_inputs(random, CALM_ROWS), before),
        (moved(CHANGED_ROWS), after),
    )
    scored = [(model(rows), concepts.stagger_labels(random, rows, concept)) for rows, concept in parts]
    return scored[0], scored[1], scored[2]


def attributed(parts: tuple[Scored, Scored, Scored]) -> tuple[str, Split]:
    """The part that alarms, always the same one, and its split; silent before the change."""
    reference, calm, changed = parts
    detector = AttributionDetector(*reference)
    assert detector.update(*calm) == []
    alarms = detector.update(*changed)
    assert alarms
    assert abs(alarms[0].split.since_row - CALM_ROWS) <= 500
    assert {alarm.part for alarm in alarms} == {alarms[0].part}
    return alarms[0].part, alarms[0].split


PURE_CONCEPT = [(sea, before, after) for before in range(4) for after in range(4) if before != after]
PURE_CONCEPT += [(stagger, before, after) for before in range(3) for after in range(3) if before != after]


@pytest.mark.parametrize(("stream", "before", "after"), PURE_CONCEPT)
def test_a_pure_change_of_the_concept_is_y_given_x(
    stream: Callable[..., tuple[Scored, Scored, Scored]], before: int, after: int
) -> None:
    for seed in range(3):
        part, split = attributed(stream(seed, before, after, 0.0))
        assert part == "label_given_score"
        assert split.concept_share is not None
        assert split.concept_share >= 0.95, split


@pytest.mark.parametrize(
    ("stream", "shift"), [(sea, 0.8), (sea, -0.8), (sea, 1.5), (stagger, 0.5), (stagger, 0.7)]
)
def test_an_injected_covariate_shift_is_x(
    stream: Callable[..., tuple[Scored, Scored, Scored]], shift: float
) -> None:
    for seed in range(3):
        for concept in range(2):
            part, split = attributed(stream(seed, concept, concept, shift))
            assert part == "score"
            assert split.concept_share is not None
            assert split.concept_share <= 0.05, split


def test_evidence_and_divergence_are_sums_of_their_parts() -> None:
    reference, _, changed = sea(0, 0, 2, 0.5)
    detector = AttributionDetector(*reference)
    detector.update(*changed)
    split = detector.split()
    assert split.joint_bits == pytest.approx(split.score_bits + split.label_given_score_bits, abs=1e-9)
    for found in (split.divergence, attribution.divergence(reference, changed)):
        assert found is not None
        assert found.joint == pytest.approx(found.score + found.label_given_score, abs=1e-12)
        assert min(found.score, found.label_given_score) > 0.001


def test_harm_is_found_when_the_concept_changes_and_not_when_inputs_do() -> None:
    def losses(scored: Scored) -> npt.NDArray[np.float64]:
        return ((scored[0] >= 0.5) != scored[1]).astype(np.float64)

    for seed in range(3):
        reference, calm, drifted = sea(seed, 2, 3, 0.0)
        shifted = sea(seed + 10, 2, 2, 0.4)[2]
        assert LossDetector(losses(reference), tolerance=0.02).update(losses(shifted)) == []
        detector = LossDetector(losses(reference), tolerance=0.02)
        assert detector.update(losses(calm)) == []
        first, *_ = detector.update(losses(drifted))
        assert first.state == "raised"
        assert first.change_row is not None
        assert abs(first.change_row - CALM_ROWS) <= 500
        assert first.evidence_bits >= first.threshold_bits


def test_losses_of_numbers_have_their_own_unit() -> None:
    random = np.random.default_rng(0)
    reference = random.exponential(2.0, 20_000)
    detector = LossDetector(reference, bound=20.0, tolerance=0.1)
    assert detector.update(random.exponential(2.0, 100_000)) == []
    assert detector.update(random.exponential(1.0, 100_000)) == []
    (alarm,) = detector.update(random.exponential(2.6, 20_000))
    assert alarm.row - 200_000 < 5_000


def test_bad_input_is_named_with_its_remedy() -> None:
    with pytest.raises(ConfigurationError, match="has no loss"):
        LossDetector([])
    with pytest.raises(ConfigurationError, match="lower the tolerance"):
        LossDetector(np.full(100, 0.5), tolerance=0.9)
    with pytest.raises(ConfigurationError, match="pane_rows is 0; use a whole number"):
        LossDetector(np.full(100, 0.5), pane_rows=0)
    with pytest.raises(ConfigurationError, match="give it some"):
        AttributionDetector([], [])
    with pytest.raises(ValueError, match="2 scores, 1 labels"):
        AttributionDetector([0.1, 0.2], [1])
    with pytest.raises(ValueError, match="99 labels"):
        AttributionDetector([0.1], [1], classes=99)
    with pytest.raises(ValueError, match="no row on one side"):
        attribution.divergence(([0.1], [1]), ([], []))
