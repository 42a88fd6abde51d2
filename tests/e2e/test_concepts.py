"""Changes of the concept as river makes them: every one is Y given X."""

import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.data import concepts
from tests.e2e.process import PEERS

from pilotfish.statistics.attribution import AttributionDetector

pytestmark = pytest.mark.peers

TRAINED, REFERENCE, CALM, CHANGED = 10_000, 20_000, 5_000, 5_000


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, concepts.Inputs]:
    folder = tmp_path_factory.mktemp("concepts")
    script = Path(__file__).with_name("river_concepts.py")
    command = [PEERS / "river" / "bin" / "python", script, folder, str(TRAINED + REFERENCE + CALM)]
    subprocess.run(list(map(str, command)), check=True, timeout=300)
    return {path.stem: np.load(path) for path in folder.glob("*.npy")}


PAIRS = [
    *(("sea", *pair) for pair in itertools.permutations(range(4), 2)),
    *(("stagger", *pair) for pair in itertools.permutations(range(3), 2)),
]


@pytest.mark.parametrize(("stream", "before", "after"), PAIRS)
def test_a_change_of_the_concept_is_y_given_x(
    rows: dict[str, concepts.Inputs], stream: str, before: int, after: int
) -> None:
    old, new = rows[f"{stream}-{before}"], rows[f"{stream}-{after}"]
    train = concepts.logistic_model if stream == "sea" else concepts.table_model
    model = train(old[:TRAINED, :-1], old[:TRAINED, -1].astype(np.int64))

    def scored(part: concepts.Inputs) -> tuple[concepts.Inputs, concepts.Labels]:
        return model(part[:, :-1]), part[:, -1].astype(np.int64)

    detector = AttributionDetector(*scored(old[TRAINED : TRAINED + REFERENCE]))
    assert detector.update(*scored(old[TRAINED + REFERENCE :])) == []
    alarms = detector.update(*scored(new[:CHANGED]))
    assert {alarm.part for alarm in alarms} == {"label_given_score"}
    assert abs(alarms[0].split.since_row - CALM) <= 500
    assert alarms[0].split.concept_share is not None
    assert alarms[0].split.concept_share >= 0.95
