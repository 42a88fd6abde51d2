"""What no single column shows: correlations that change, embeddings, and streams in which nothing does."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pilotfish.errors import ConfigurationError, ProfileError
from pilotfish.statistics import Profile
from pilotfish.statistics.multivariate import CoMoments, JointDetector, into_profile

Rows = npt.NDArray[np.float64]
NAMES = ["age", "income", "debt", "term", "rate"]


def table(rows: int, correlation: float, seed: int) -> Rows:
    """Five columns in units of their own; age and income go together, all others alone."""
    matrix = np.eye(5)
    matrix[0, 1] = matrix[1, 0] = correlation
    values = np.random.default_rng(seed).multivariate_normal(np.zeros(5), matrix, rows)
    return values * [10, 8_000, 1, 100, 0.01] + [45, 30_000, 0, 360, 0.05]


@pytest.mark.parametrize("seed", range(5))
def test_a_correlation_that_flips_its_sign_is_found_and_named(seed: int) -> None:
    detector = JointDetector(table(20_000, 0.5, seed), NAMES)
    assert detector.update(table(20_000, 0.5, 100 + seed)) == []
    alarms = detector.update(table(5_000, -0.5, 200 + seed))
    first = alarms[0]
    assert first.state == "raised"
    assert first.row <= 20_800
    assert first.change_row is not None
    assert abs(first.change_row - 20_000) <= 300
    assert "x.pair(age, income)" in {alarm.feature for alarm in alarms}
    distances = detector.distances()
    assert distances.correlation is not None
    assert distances.correlation_expected is not None
    assert distances.correlation > 2 * distances.correlation_expected
    assert distances.discrepancy > distances.discrepancy_expected


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_in_which_nothing_changes_is_silent(seed: int) -> None:
    detector = JointDetector(table(10_000, 0.5, seed), NAMES, arl=100_000)
    assert detector.update(table(50_000, 0.5, 300 + seed)) == []


def test_an_embedding_that_rotates_is_found_though_its_elements_stay_as_they_were() -> None:
    random = np.random.default_rng(1)
    clusters = random.choice([-1.0, 1.0], (8, 64))

    def embedded(rows: int, flip: bool) -> Rows:
        """Every element is -1 or 1, as often as the other, and noise; which goes with which may vary."""
        signs = random.choice([-1.0, 1.0], (rows, 1))
        chosen = clusters[random.integers(0, 8, rows)] * signs
        if flip:
            chosen[:, :32] *= random.choice([-1.0, 1.0], (rows, 1))
        return chosen + random.normal(0, 0.3, (rows, 64))

    detector = JointDetector.of_embedding(embedded(20_000, False))
    assert detector.names == [f"x.fourier[{number}]" for number in range(64)]
    assert detector.update(embedded(20_000, False)) == []
    (first, *_) = detector.update(embedded(10_000, True))
    assert first.row <= 25_000


def test_numbers_follow_from_the_seed_alone() -> None:
    rows = table(1_000, 0.2, 1)
    one, same, other = (JointDetector(rows, NAMES, seed=seed).project(rows[:9]) for seed in (4, 4, 5))
    assert (one == same).all()
    assert (one != other).any()
    assert one.shape == (9, 32 + 10 + 1)
    assert np.abs(one[:, :42]).max() <= 1


def test_co_moments_are_numpys_and_parts_add_up() -> None:
    rows = table(5_000, 0.7, 2)
    whole, parts, part = CoMoments(5), CoMoments(5), CoMoments(5)
    assert whole.update(rows) == 0
    parts.update(rows[:1_234])
    part.update(rows[1_234:])
    parts.merge(part)
    expected = np.corrcoef(rows, rowvar=False)
    for found in (whole, parts):
        assert np.allclose(found.correlations(), expected, atol=1e-12)
    live = CoMoments(5)
    live.update(table(5_000, -0.7, 3))
    value, by_chance = whole.distance(live)
    norm = np.linalg.norm(np.corrcoef(table(5_000, -0.7, 3), rowvar=False) - expected)
    assert value == pytest.approx(norm, abs=1e-9)
    assert by_chance < 0.15


def test_a_map_in_a_profile_is_used_by_the_live_monitor(tmp_path: Path) -> None:
    path, reference = tmp_path / "loan.profile", table(20_000, 0.6, 1)
    Profile.build(dict(zip(NAMES, reference.T, strict=True)), model="loan").save(path)
    into_profile(path, "x", reference, NAMES)
    names = {feature.name for feature in Profile.load(path).features}
    assert {"age", "x.fourier[0]", "x.pair(age, income)", "x.reconstruction_error"} <= names
    with pytest.raises(ValueError, match="rows of 5 columns: 2 are needed"):
        into_profile(path, "x", reference, ["a", "b"])
    with pytest.raises(ProfileError, match="at least one row"):
        into_profile(path, "x", reference[:0], NAMES)


def test_bad_input_is_named_with_its_remedy() -> None:
    with pytest.raises(ConfigurationError, match="rows, 1 to 8192 columns"):
        JointDetector(np.zeros((0, 3)))
    with pytest.raises(ConfigurationError, match="pane_rows is 0; use a whole number from 1"):
        JointDetector(np.zeros((9, 3)), pane_rows=0)
    with pytest.raises(ValueError, match="one row per line"):
        JointDetector([1.0, 2.0])
    detector = JointDetector(table(100, 0, 1))
    with pytest.raises(ValueError, match="rows of 2 columns: 5 are needed"):
        detector.update(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="up to 256"):
        CoMoments(257)
    comoments = CoMoments(2)
    assert comoments.update([[1.0, np.nan], [1.0, 2.0]]) == 1
    with pytest.raises(ValueError, match="rows of 3 columns: 2 are needed"):
        comoments.merge(CoMoments(3))
    with pytest.raises(ValueError, match="two rows"):
        comoments.distance(comoments)
