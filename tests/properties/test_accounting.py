"""The accounting identity: whatever sinks and callers do, every kept call is settled exactly once."""

import errno
import threading
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotfish.journal import Journal
from pilotfish.settings import JournalSettings
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
@given(script=st.lists(step, max_size=12), queue=st.integers(1, 60), started=st.booleans())
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
