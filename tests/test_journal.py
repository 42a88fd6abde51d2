import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotfish.call import KeptCall
from pilotfish.errors import ConfigurationError
from pilotfish.journal import Journal
from pilotfish.settings import JournalSettings
from pilotfish.sinks import segment
from pilotfish.sinks.reader import read
from pilotfish.testing.journal import Ledger, ScriptedSink, kept_call

PATIENCE = 10.0
"""Seconds a test waits for something that must happen; never waited in full by a test that passes."""


class Kept:
    """A journal with its ledger, fed as a data plane feeds it."""

    def __init__(
        self, directory: Path, *sinks: ScriptedSink, clock: Callable[[], float] | None = None, **settings: Any
    ) -> None:
        self.ledger = Ledger()
        chosen = JournalSettings(directory=directory, flush_interval=0.01, **settings)
        clocked = {} if clock is None else {"clock": clock}
        self.journal = Journal(chosen, self.ledger, sinks=sinks or None, **clocked)

    def keep(self, *calls: KeptCall) -> None:
        for call in calls or (kept_call(),):
            self.ledger.observe()
            self.journal.keep(call)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Closed until set; opened at the end so that no thread stays behind."""
    event = threading.Event()
    yield event
    event.set()


def test_kept_calls_reach_the_disk_in_order(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.journal.start()
    kept.keep(*(kept_call(call_id=f"call-{number}") for number in range(600)))
    kept.journal.close(PATIENCE)
    assert [record["call_id"] for record in read(tmp_path)] == [f"call-{number}" for number in range(600)]
    assert (kept.ledger.kept, kept.ledger.queued) == (600, 0)


def test_a_call_is_written_without_waiting_for_the_end(tmp_path: Path) -> None:
    written = threading.Event()
    kept = Kept(tmp_path, ScriptedSink(before=written.set))
    kept.journal.start()
    kept.keep()
    assert written.wait(PATIENCE)
    kept.journal.close(PATIENCE)


def test_only_allowed_metadata_and_no_messages_are_written(tmp_path: Path) -> None:
    kept = Kept(tmp_path, metadata=("x-user-id",))
    kept.journal.start()
    kept.keep(kept_call(request=b"private", response=b"private"))
    kept.journal.close(PATIENCE)
    [record] = read(tmp_path)
    assert record["metadata"] == {"x-user-id": ["ada"]}
    assert (record["request"]["payload"], record["response"]["payload"]) == (None, None)
    [path] = tmp_path.iterdir()
    assert b"secret" not in path.read_bytes()


def test_messages_are_written_when_asked_for(tmp_path: Path) -> None:
    kept = Kept(tmp_path, payloads=True, max_payload=4, formats=("jsonl", "parquet"))
    kept.journal.start()
    kept.keep(kept_call(request=b"12345678", request_bytes=8, response=None))
    kept.journal.close(PATIENCE)
    for form in ("jsonl", "parquet"):
        [record] = read(tmp_path, form)  # type: ignore[arg-type]
        assert record["request"]["payload"] == b"1234"
        assert (record["request"]["truncated"], record["request"]["size"]) == (True, 8)
        assert record["response"]["payload"] is None


def test_a_slow_sink_costs_calls_of_the_journal_not_the_callers(
    tmp_path: Path, gate: threading.Event
) -> None:
    entered = threading.Event()

    def stall() -> None:
        entered.set()
        gate.wait(PATIENCE)

    kept = Kept(tmp_path, ScriptedSink(before=stall), queue=10)
    kept.journal.start()
    kept.keep()
    assert entered.wait(PATIENCE)
    kept.keep(*[kept_call()] * 50)  # returns although nothing is being taken
    assert kept.ledger.dropped == {"queue_full": 40}
    assert kept.ledger.queued == kept.journal.status().queued == 11
    gate.set()
    kept.journal.close(PATIENCE)
    assert (kept.ledger.kept, kept.ledger.queued) == (11, 0)


def test_the_queue_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ScriptedSink(), payloads=True, queue=1000)
    message = bytes(8 * 1024**2)
    kept.keep(*[kept_call(request=message, response=None)] * 20)
    assert kept.ledger.dropped == {"queue_full": 12}
    kept.journal.close(0)


def test_messages_that_are_not_written_do_not_fill_the_queue(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ScriptedSink(), queue=1000)
    kept.keep(*[kept_call(request=bytes(8 * 1024**2))] * 20)
    assert kept.ledger.dropped == {}
    kept.journal.close(0)


def test_a_full_disk_drops_by_reason_and_recovers_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    kept = Kept(tmp_path, clock=lambda: now[0])
    kept.journal.start()
    with monkeypatch.context() as patch:
        patch.setattr(segment.os, "write", _no_space)
        kept.keep(*[kept_call(message="lost")] * 3)
        _until(lambda: kept.ledger.queued == 0)
    assert kept.ledger.dropped == {"disk_full": 3}
    assert "No space left" in (kept.journal.status().sinks[0].error or "")
    now[0] = 60.0
    kept.keep(kept_call(message="written"))
    kept.journal.close(PATIENCE)
    assert [record["message"] for record in read(tmp_path)] == ["written"]
    assert kept.journal.status().sinks[0].error is None
    assert kept.ledger.kept == 1


def test_a_call_that_one_format_lacks_counts_as_dropped(tmp_path: Path) -> None:
    def broken() -> None:
        raise OSError(errno.EIO, "Input/output error")

    good = ScriptedSink("good")
    kept = Kept(tmp_path, good, ScriptedSink("bad", before=broken))
    kept.journal.start()
    kept.keep()
    kept.journal.close(PATIENCE)
    assert kept.ledger.dropped == {"disk_error": 1}
    good_status, bad_status = kept.journal.status().sinks
    assert (good_status.written, bad_status.dropped) == (1, {"disk_error": 1})


def test_close_gives_up_at_its_deadline_and_counts_the_rest(tmp_path: Path, gate: threading.Event) -> None:
    entered = threading.Event()

    def stall() -> None:
        entered.set()
        gate.wait(PATIENCE)

    kept = Kept(tmp_path, ScriptedSink(before=stall))
    kept.journal.start()
    kept.keep()
    assert entered.wait(PATIENCE)
    kept.keep(*[kept_call()] * 5)
    kept.journal.close(0.01)
    assert kept.ledger.dropped == {"shutdown": 6}
    gate.set()  # the late write must not be settled a second time
    kept.journal.close(PATIENCE)
    assert (kept.ledger.kept, kept.ledger.queued) == (0, 0)


def test_after_close_calls_are_dropped_and_closing_again_is_harmless(tmp_path: Path) -> None:
    sink = ScriptedSink()
    kept = Kept(tmp_path, sink)
    kept.journal.start()
    kept.journal.close(PATIENCE)
    kept.journal.close(PATIENCE)
    kept.keep()
    assert kept.ledger.dropped == {"shutdown": 1}
    assert sink.closed


def test_a_journal_that_never_started_settles_what_it_was_given(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ScriptedSink())
    kept.keep()
    kept.journal.close(0)
    assert kept.ledger.dropped == {"shutdown": 1}


def test_a_record_that_cannot_be_made_does_not_end_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, ScriptedSink())
    kept.journal.start()
    kept.keep(kept_call(code="not a number"))
    _until(lambda: kept.ledger.queued == 0)
    kept.keep()
    kept.journal.close(PATIENCE)
    assert (dict(kept.ledger.dropped), kept.ledger.kept) == ({"sink_failed": 1}, 1)


def test_a_directory_that_cannot_be_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Kept(tmp_path / "file" / "journal")
    with pytest.raises(
        ConfigurationError, match=r"journal\.directory: .*/file/journal: Not a directory; name a folder"
    ):
        kept.journal.start()


def _no_space(descriptor: int, data: memoryview) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _until(condition: Callable[[], bool]) -> None:
    """Wait for another thread; fails the test instead of hanging it."""
    tick = threading.Event()
    for _ in range(int(PATIENCE / 0.002)):
        if condition():
            return
        tick.wait(0.002)
    pytest.fail("nothing happened")
