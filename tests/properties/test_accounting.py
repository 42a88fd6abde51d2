"""The accounting identity: whatever sinks and callers do, every kept call is settled exactly once."""

import errno
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotfish._core import Engine
from pilotfish.journal import Journal
from pilotfish.settings import JournalSettings, Settings
from pilotfish.sinks import open_sinks
from pilotfish.sinks.reader import read
from pilotfish.testing.journal import Ledger, ScriptedSink, kept_call

FAULTS = {
    "disk_full": OSError(errno.ENOSPC, "full"),
    "disk_error": OSError(errno.EIO, "broken"),
    "sink_failed": ValueError("a bug"),
}

fault = st.none() | st.sampled_from(sorted(FAULTS))
step = st.one_of(
    st.tuples(st.just("keep"), st.integers(1, 40)),
    st.tuples(st.just("fault"), st.tuples(fault, fault)),
    st.tuples(st.just("later"), st.integers(1, 40)),
    st.tuples(st.just("wait"), st.just(0)),
)


class Faulty(ScriptedSink):
    """Fails with the fault that is set, and remembers how many records it was shown."""

    def __init__(self, name: str) -> None:
        super().__init__(name, self._raise)
        self.fault: str | None = None

    def _raise(self) -> None:
        if self.fault is not None:
            raise FAULTS[self.fault]


@settings(deadline=None, max_examples=60)
@given(script=st.lists(step, min_size=3, max_size=20), queue=st.integers(1, 60), started=st.booleans())
def test_every_kept_call_is_settled_exactly_once(
    script: list[tuple[str, object]], queue: int, started: bool
) -> None:
    ledger, now = Ledger(), [0.0]
    sinks = Faulty("one"), Faulty("other")
    chosen = JournalSettings(directory=Path("unused"), queue=queue, flush_interval=0.01)
    journal = Journal(chosen, ledger, sinks=sinks, clock=lambda: now[0])
    if started:
        journal._thread.start()  # not `start`: there is no directory to make

    for action, argument in script:
        if action == "keep":
            for number in range(argument):  # type: ignore[call-overload]
                ledger.observe()
                journal.keep(kept_call(call_id=str(number)))
        elif action == "fault":
            sinks[0].fault, sinks[1].fault = argument  # type: ignore[misc]
        elif action == "later":
            now[0] += argument  # type: ignore[operator]
        elif started:
            journal._wake.set()
        unsettled = ledger.queued  # read before the journal's own number: that one only falls meanwhile
        assert (
            journal.status().queued <= unsettled <= queue + 256
        )  # a full queue, and the batch being written

    journal.close(10.0)
    assert (ledger.queued, ledger.refused) == (0, 0)
    assert ledger.observed == ledger.kept + sum(ledger.dropped.values())
    assert set(ledger.dropped) <= {*FAULTS, "queue_full", "shutdown"}
    assert ledger.kept <= min(len(sink.records) for sink in sinks)
    for sink, status in zip(sinks, journal.status().sinks, strict=True):
        assert status.written == len(sink.records)
        shown = ledger.observed - ledger.dropped["queue_full"] - ledger.dropped["shutdown"]
        assert status.written + sum(status.dropped.values()) == shown


@settings(deadline=None, max_examples=15)
@given(
    callers=st.integers(2, 6),
    each=st.integers(1, 200),
    queue=st.integers(1, 100),
    patience=st.sampled_from([0.0, 10.0]),
)
def test_the_identity_survives_many_callers_and_a_close_among_them(
    callers: int, each: int, queue: int, patience: float
) -> None:
    ledger = Ledger()
    chosen = JournalSettings(directory=Path("unused"), queue=queue, flush_interval=0.01)
    journal = Journal(chosen, ledger, sinks=[ScriptedSink()])
    journal._thread.start()

    def call() -> None:
        for _ in range(each):
            ledger.observe()
            journal.keep(kept_call())

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    journal.close(patience)
    for thread in threads:
        thread.join()
    journal.close(10.0)
    assert (ledger.queued, ledger.refused) == (0, 0)
    assert ledger.observed == callers * each == ledger.kept + sum(ledger.dropped.values())


# === with the real engine and real files ===


def engine(**sampling: Any) -> Engine:
    chosen = Settings.model_validate({"versions": {"v1": {"upstream": "127.0.0.1:1"}}, "sampling": sampling})
    return Engine(chosen.engine_configuration(), {}, time.monotonic_ns())


def account(core: Engine) -> dict[str, Any]:
    """The journal's part of the snapshot, once it has been checked to add up."""
    journal: dict[str, Any] = json.loads(core.snapshot(time.monotonic_ns()))["journal"]
    dropped = sum(journal["dropped"].values())
    assert journal["observed"] == journal["kept"] + journal["sampled_out"] + journal["queued"] + dropped
    assert sum(journal["reasons"].values()) == journal["kept"] + journal["queued"] + dropped
    return journal


def call(core: Engine, journal: Journal, number: int, code: int) -> None:
    """One call as a data plane ends it."""
    decision = core.decide("/package.Service/Method", [("x-request-id", f"call-{number}")], number)
    reason = core.observe(decision, code, 2_000_000, 1_500_000, time.monotonic_ns(), b"in", b"out", 2, 3)
    if reason is not None:
        journal.keep(kept_call(call_id=decision.call_id, reason=reason, code=code))


@settings(deadline=None, max_examples=25)
@given(
    calls=st.integers(0, 400),
    error_every=st.integers(2, 50),
    share=st.sampled_from([0, 200_000, 1_000_000]),
    queue=st.integers(5, 500),
    faults=st.lists(fault, min_size=1, max_size=4),
)
def test_the_engine_s_account_is_that_of_the_files(
    calls: int, error_every: int, share: int, queue: int, faults: list[str | None]
) -> None:
    core, now, other = engine(share_ppm=share), [0.0], Faulty("other")
    with tempfile.TemporaryDirectory() as name:
        chosen = JournalSettings(
            directory=Path(name), queue=queue, flush_interval=0.01, rotate_bytes=4096, keep_files=1000
        )
        files = open_sinks(
            chosen.directory, ["jsonl"], rotate_bytes=chosen.rotate_bytes, keep_files=chosen.keep_files
        )
        journal = Journal(chosen, core, sinks=[*files, other], clock=lambda: now[0])
        journal.start()
        for number in range(calls):
            other.fault = faults[number * len(faults) // calls]
            now[0] += 1
            call(core, journal, number, 0 if number % error_every else 14)
            account(core)
        journal.close(10.0)

        final = account(core)
        assert (final["queued"], final["observed"]) == (0, calls)
        assert final["kept"] == len(other.records)
        assert {record["call_id"] for record in other.records} <= {
            record["call_id"] for record in read(chosen.directory)
        }
        if share == 0:
            assert final["reasons"] == ({"error": -(-calls // error_every)} if calls else {})
        if share == 1_000_000:
            assert final["sampled_out"] == 0
    core.close()


def test_the_account_holds_while_many_callers_race_with_the_end() -> None:
    core, sink = engine(share_ppm=1_000_000), ScriptedSink()
    journal = Journal(
        JournalSettings(directory=Path("unused"), queue=50, flush_interval=0.01), core, sinks=[sink]
    )
    journal._thread.start()

    def calls(caller: int) -> None:
        for number in range(500):
            call(core, journal, caller * 500 + number, 0)

    threads = [threading.Thread(target=calls, args=(caller,)) for caller in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        account(core)
    journal.close(10.0)
    for thread in threads:
        thread.join()
    final = account(core)
    assert (final["observed"], final["queued"], final["kept"]) == (2000, 0, len(sink.records))
    core.close()
