"""The familiar detectors beside river itself, in the same run: the same alarms at the same index."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.e2e.process import PEERS

from pilotfish.detectors import Detector

pytestmark = pytest.mark.peers

RIVER = {
    "adwin": "ADWIN",
    "page_hinkley": "PageHinkley",
    "kswin": "KSWIN",
    "ddm": "DDM",
    "eddm": "EDDM",
    "hddm_a": "HDDM_A",
    "hddm_w": "HDDM_W",
}
OTHER_SETTINGS: dict[str, dict[str, Any]] = {
    "adwin": {"delta": 0.1, "clock": 7, "max_buckets": 8},
    "page_hinkley": {"threshold": 10.0, "mode": "up"},
    "kswin": {"alpha": 0.01, "stat_size": 20, "seed": 77},
    "ddm": {"drift_threshold": 2.5},
    "eddm": {"alpha": 0.97, "beta": 0.8},
    "hddm_a": {"two_sided_test": True},
    "hddm_w": {"lambda_val": 0.2, "two_sided_test": True},
}


def streams() -> dict[str, npt.NDArray[np.float64]]:
    """Numbers of several kinds, and bits, that change now and then."""
    random = np.random.default_rng(20_260_101)
    levels = np.repeat(random.normal(0, 1, 20), 5000)
    rates = np.repeat(random.beta(2, 6, 20), 5000)
    return {
        "normal": random.normal(levels, 1),
        "heavy": random.standard_t(2, 100_000) + levels,
        "whole": random.poisson(np.exp(levels)).astype(np.float64),
        "bits": (random.random(100_000) < rates).astype(np.float64),
    }


def cases(folder: Path) -> list[dict[str, Any]]:
    of_stream = {}
    for name, values in streams().items():
        of_stream[name] = folder / f"{name}.npy"
        np.save(of_stream[name], values)
        np.save(folder / f"{name}-short.npy", values[:5000])
    found = []
    for detector, other in OTHER_SETTINGS.items():
        for name, path in of_stream.items():
            if detector in {"adwin", "page_hinkley", "kswin"} or name == "bits":
                stream = folder / f"{name}-short.npy" if detector == "kswin" else path
                found += [
                    {"detector": detector, "settings": settings, "stream": str(stream)}
                    for settings in ({"seed": 1} if detector == "kswin" else {}, other)
                ]
    return found


def test_alarms_are_those_of_river(tmp_path: Path) -> None:
    ours = cases(tmp_path)
    theirs = [{**case, "detector": RIVER[case["detector"]]} for case in ours]
    program = [str(PEERS / "river/bin/python"), str(Path(__file__).with_name("river_alarms.py"))]
    done = subprocess.run(program, input=json.dumps(theirs), capture_output=True, text=True, check=True)
    alarms = 0
    for case, expected in zip(ours, json.loads(done.stdout), strict=True):
        detector = Detector(case["detector"], **case["settings"])
        assert detector.update_many(np.load(case["stream"])).tolist() == expected["alarms"], case
        alarms += len(expected["alarms"])
    assert alarms > 1000
