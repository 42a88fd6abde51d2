"""The state of the statistics on disk: what survives, and what a disk may do wrong."""

import errno
import json
import os
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_engine import NOW, configuration, request, snapshot

from pilotfish import _core, state
from pilotfish.errors import ConfigurationError
from pilotfish.settings.observing import StateSettings
from pilotfish.state import FILE, REJECTED, Keeper

MONITOR = {"pane_rows": 50, "learn_rows": 200}


def engine(**monitor: Any) -> _core.Engine:
    return _core.Engine(configuration(monitor=MONITOR | monitor), {}, NOW)


def send(on: _core.Engine, calls: int, shift: float = 0.0, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(calls):
        message = request(rng.normal(shift, 1.0, size=(5, 3)))
        decision = on.decide("/inference.GRPCInferenceService/ModelInfer", (), 1)
        on.observe(decision, 0, 1, 1, NOW, message, None, len(message), 0)
    assert on.flush(10.0)


def keeper(of: _core.Engine, directory: Path) -> Keeper:
    return Keeper(StateSettings(directory=directory), of)


@pytest.fixture
def kept(tmp_path: Path) -> tuple[_core.Engine, Path]:
    """An engine that has learned, watched and raised an alarm, and the folder its state was written to."""
    before = engine()
    send(before, 80)
    send(before, 60, shift=3.0, seed=1)
    writer = keeper(before, tmp_path)
    assert writer.save()
    release(writer)
    return before, tmp_path


def release(of: Keeper) -> None:
    """Give up the folder, as a process does that ends."""
    assert of._lock is not None
    os.close(of._lock)
    of._lock = None


def test_windows_evidence_alarms_and_the_learned_profile_survive(kept: tuple[_core.Engine, Path]) -> None:
    before, directory = kept
    after = engine()
    keeper(after, directory).restore()
    then, now = snapshot(before, detail=True), snapshot(after, detail=True)
    assert now["models"] == then["models"]
    assert now["alarms"] == then["alarms"]
    assert now["alarms"]["active"] > 0
    assert (now["state"]["restored"], now["state"]["lost"]) == (1, {})
    assert after.learned_profile("v1") == before.learned_profile("v1")
    send(before, 40, shift=3.0, seed=2)
    send(after, 40, shift=3.0, seed=2)
    assert snapshot(after)["models"] == snapshot(before)["models"]


def test_the_first_start_finds_nothing_and_loses_nothing(tmp_path: Path) -> None:
    fresh = engine()
    keeper(fresh, tmp_path / "new").restore()
    assert snapshot(fresh)["state"] == {"written": 0, "failed": {}, "restored": 0, "lost": {}}


def test_alarms_that_were_raised_before_are_not_raised_again(kept: tuple[_core.Engine, Path]) -> None:
    after = engine()
    keeper(after, kept[1]).restore()
    send(after, 20, shift=3.0, seed=3)
    counts = snapshot(after)["alarms"]
    assert json.loads(after.alarms(counts["raised"] + counts["cleared"])) == []


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def of_version(version: int) -> Any:
    return lambda data: data[:16] + struct.pack("<I", version) + data[20:]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (damaged, "damaged"),
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: b"", "damaged"),
        (lambda data: b"something else" * 100, "damaged"),
        (of_version(9), "newer"),
        (of_version(0), "older"),
        (of_version(1), "older"),
    ],
)
def test_a_file_that_cannot_be_taken_up_starts_empty_and_is_counted_and_kept(
    kept: tuple[_core.Engine, Path], change: Any, reason: str
) -> None:
    file = kept[1] / FILE
    data = change(file.read_bytes())
    file.write_bytes(data)
    after = engine()
    keeper(after, kept[1]).restore()
    now = snapshot(after)
    assert (now["models"], now["state"]["lost"]) == ([], {reason: 1})
    assert (kept[1] / REJECTED).read_bytes() == data


def test_state_of_other_settings_or_another_profile_is_lost_for_that_model(
    kept: tuple[_core.Engine, Path],
) -> None:
    strict = engine(alarm={"tolerance": 0.0})
    lost = json.loads(strict.restore((kept[1] / FILE).read_bytes(), "", NOW))
    assert [(left["model"], left["version"], left["reason"]) for left in lost] == [
        ("m", "v1", "other_settings")
    ]
    learned = kept[0].learned_profile("v1")
    assert learned is not None
    given = _core.Engine(configuration(monitor=MONITOR), {"v1": learned}, NOW)
    lost = json.loads(given.restore((kept[1] / FILE).read_bytes(), "", NOW))
    assert lost[0]["reason"] == "other_profile"
    renamed = _core.Engine(
        configuration(
            versions=[{"name": "v9"}], routes=[{"name": "digits", "stable": "v9", "sticky": [], "salt": "s"}],
            monitor=MONITOR,
        ),
        {},
        NOW,
    )  # fmt: skip
    lost = json.loads(renamed.restore((kept[1] / FILE).read_bytes(), "", NOW))
    assert lost[0]["reason"] == "unknown_version"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EROFS, "read_only"),
        (errno.EIO, "disk_error"),
    ],
)
def test_a_disk_that_does_not_take_it_costs_no_call_and_leaves_the_last_file(
    kept: tuple[_core.Engine, Path], monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    before, directory = kept
    whole = (directory / FILE).read_bytes()

    def fails(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    writer = keeper(before, directory)
    assert not writer.save()
    send(before, 10)
    assert snapshot(before)["state"]["failed"] == {reason: 1}
    assert (directory / FILE).read_bytes() == whole
    assert not list(directory.glob(".*.tmp"))
    monkeypatch.undo()
    assert writer.save()
    release(writer)


@pytest.mark.parametrize("directory", ["file", "file/state"])
def test_a_file_where_a_folder_should_be_is_a_mistake(tmp_path: Path, directory: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=f"state.directory: {tmp_path / directory}: is no folder"):
        keeper(engine(), tmp_path / directory).restore()


def test_a_folder_that_cannot_be_made_is_counted() -> None:
    of = engine()
    refused = keeper(of, Path("/proc/no/folder"))
    refused.restore()
    assert not refused.save()
    assert snapshot(of)["state"]["lost"] == {"unreadable": 1}
    assert sum(snapshot(of)["state"]["failed"].values()) == 1


def test_two_sidecars_do_not_replace_each_others_file(kept: tuple[_core.Engine, Path]) -> None:
    first, second = keeper(kept[0], kept[1]), engine()
    assert first.save()
    whole = (kept[1] / FILE).read_bytes()
    assert not keeper(second, kept[1]).save()
    assert snapshot(second)["state"]["failed"] == {"in_use": 1}
    assert (kept[1] / FILE).read_bytes() == whole
    release(first)


def test_a_file_that_was_in_use_at_the_start_is_kept_when_the_folder_is_free(
    kept: tuple[_core.Engine, Path],
) -> None:
    first = keeper(kept[0], kept[1])
    assert first.save()
    whole = (kept[1] / FILE).read_bytes()
    later = engine()
    second = keeper(later, kept[1])
    second.restore()
    release(first)
    send(later, 50)
    assert second.save()
    assert second.save()
    assert (kept[1] / REJECTED).read_bytes() == whole
    assert (kept[1] / FILE).read_bytes() != whole
    release(second)


def test_a_folder_that_was_moved_away_is_made_anew_and_one_put_in_its_place_is_respected(
    kept: tuple[_core.Engine, Path],
) -> None:
    of, directory = kept
    writer = keeper(of, directory)
    assert writer.save()
    away = directory.rename(directory.with_name("away"))
    assert writer.save()
    assert (directory / FILE).exists()
    assert not (directory / REJECTED).exists()
    anothers = away.rename(directory / "exchanged")
    (anothers / FILE).write_bytes(b"of another")
    directory.rename(directory.with_name("old"))
    (directory.with_name("old") / "exchanged").rename(directory)
    assert writer.save()
    assert (directory / REJECTED).read_bytes() == b"of another"
    assert snapshot(of)["state"]["failed"] == {}
    release(writer)


def test_it_is_written_every_interval_and_once_more_at_the_end(tmp_path: Path) -> None:
    of, polled = engine(), []
    waits = iter([False, False, True])
    writer = Keeper(
        StateSettings(directory=tmp_path),
        of,
        before=lambda: polled.append(1),
        wait=lambda seconds: seconds == 10.0 and next(waits),
    )
    writer.start()
    writer.stop(10.0)
    assert (snapshot(of)["state"]["written"], len(polled)) == (3, 3)
    assert keeper(engine(), tmp_path).save(), "the folder is free again"


def test_the_clock_is_that_of_the_boot() -> None:
    assert state.clock() == state.clock() != ""


def test_time_between_two_processes_passes_for_the_windows(tmp_path: Path) -> None:
    before = engine(learn_rows=0)
    send(before, 1)
    data = before.state("boot", time.monotonic_ns())
    assert json.loads(engine(learn_rows=0).restore(data, "boot", time.monotonic_ns())) == []
