"""Adding up what several sidecars have kept, from Python and from the command line."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from test_engine import NOW, configuration, request
from typer.testing import CliRunner

from pilotfish import _core
from pilotfish.cli import app
from pilotfish.errors import StateError
from pilotfish.statistics import state

MONITOR = {"pane_rows": 50, "learn_rows": 0}


def profile_of(seed: int, bins: int) -> bytes:
    builder = _core.ProfileBuilder("m", bins)
    for column in range(3):
        values = np.random.default_rng(seed + column).normal(size=2000)
        builder.add_numbers(f"x[{column}]", "input", values)
    return builder.finish()


def kept(folder: Path, name: str, profile: bytes, rows: np.ndarray) -> Path:
    """The state file of a sidecar that saw these rows, five to a call."""
    engine = _core.Engine(configuration(monitor=MONITOR), {"v1": profile}, NOW)
    for part in np.split(rows, len(rows) // 5):
        message = request(part)
        decision = engine.decide("/inference.GRPCInferenceService/ModelInfer", (), 1)
        engine.observe(decision, 0, 1, 1, NOW, message, None, len(message), 0)
    assert engine.flush(10.0)
    file = folder / name
    file.write_bytes(engine.state("boot", time.monotonic_ns()))
    engine.close()
    return file


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(4).normal(0.2, 1.1, size=(600, 3))


def test_three_sidecars_add_up_to_one_that_saw_everything(tmp_path: Path, rows: np.ndarray) -> None:
    profile = profile_of(1, 16)
    (tmp_path / "m.profile").write_bytes(profile)
    given = [tmp_path / "m.profile"]
    parts = [
        kept(tmp_path, name, profile, part)
        for name, part in zip("abc", (rows[:100], rows[100:400], rows[400:]), strict=True)
    ]
    merged = state.merge(parts, given)
    for order in ([2, 0, 1], [1, 2, 0]):
        assert state.merge([parts[which] for which in order], given) == merged
    (tmp_path / "sum").write_bytes(merged)
    (total,) = state.models(tmp_path / "sum", given, detail=True)
    (single,) = state.models(kept(tmp_path, "whole", profile, rows), given, detail=True)
    assert (total["rows"], total["calls"]) == (single["rows"], single["calls"]) == (600, 120)
    for ours, theirs in zip(total["features"], single["features"], strict=True):
        for exact in ("name", "count", "missing", "under", "over", "min", "max", "windows"):
            assert ours[exact] == theirs[exact], exact
        for histogram in (ours["histogram"], theirs["histogram"]):
            del histogram["sum"]
        assert ours["histogram"] == theirs["histogram"]
        assert ours["mean"] == pytest.approx(theirs["mean"], abs=1e-12)
        assert ours["std"] == pytest.approx(theirs["std"], abs=1e-12)


def test_different_edges_are_refused_with_the_file_and_the_remedy(tmp_path: Path, rows: np.ndarray) -> None:
    fine, coarse = profile_of(1, 16), profile_of(1, 8)
    for name, profile in (("fine.profile", fine), ("coarse.profile", coarse)):
        (tmp_path / name).write_bytes(profile)
    files = [kept(tmp_path, "a", fine, rows), kept(tmp_path, "b", coarse, rows)]
    both = [tmp_path / "fine.profile", tmp_path / "coarse.profile"]
    with pytest.raises(StateError, match=r"m v1: .*different bins do not add up.*--profile"):
        state.merge(files, both)
    with pytest.raises(StateError, match="a: m v1: it was compared with another profile"):
        state.models(files[0])
    damaged = tmp_path / "damaged"
    damaged.write_bytes(files[0].read_bytes()[:-1])
    with pytest.raises(StateError, match="damaged: it is cut short or altered"):
        state.merge([damaged])
    with pytest.raises(StateError, match="missing: cannot be read: No such file"):
        state.models(tmp_path / "missing")


def test_the_command_line_adds_up_and_shows(tmp_path: Path, rows: np.ndarray) -> None:
    profile = profile_of(1, 16)
    (tmp_path / "m.profile").write_bytes(profile)
    a, b = kept(tmp_path, "a", profile, rows[:300]), kept(tmp_path, "b", profile, rows[300:])
    given = ["--profile", str(tmp_path / "m.profile")]
    run = CliRunner().invoke
    merged = run(app, ["state", "merge", str(a), str(b), "--out", str(tmp_path / "sum"), *given])
    assert (merged.exit_code, merged.output) == (0, f"{tmp_path / 'sum'}: 2 files added up\n")
    shown = run(app, ["state", "show", str(tmp_path / "sum"), "--json", *given])
    assert [model["rows"] for model in json.loads(shown.output)] == [600]
    table = run(app, ["state", "show", str(tmp_path / "sum"), *given])
    assert "m v1: watching, 600 rows in 120 calls" in table.output
    refused = run(app, ["state", "show", str(tmp_path / "sum")])
    assert refused.exit_code == 1
