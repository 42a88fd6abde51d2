"""The stage: everything that runs during the demo, started in reading order and stopped in reverse.

Four processes, as in a deployment: the model server, the sidecar, the client, and this one, which holds the
OpenTelemetry receiver and the screen.
"""

import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from pilotfish.demo import configuration, models
from pilotfish.demo.child import Child
from pilotfish.demo.sidecar import Sidecar, free_addresses
from pilotfish.demo.story import SHADOW, Alarm, Change, Phase
from pilotfish.demo.view import View, look
from pilotfish.testing.collector import Collector

START_SECONDS = 45.0
"""Training, and imports on a cold disk, take a few seconds; a machine that needs more than this is stuck."""
ANSWER_SECONDS = 20.0
RATE_SECONDS = 3.0
"""Calls per second are taken over so many seconds."""
SETTLE_SECONDS = 3.0
"""How long the sidecar may take to work off its queues once nobody calls any more."""


class Stage:
    """The running demo. Use it as a context manager: leaving it ends every process it started."""

    def __init__(self, home: Path, seed: int, rate: float) -> None:
        """Nothing runs yet. Files go to ``home``; ``rate`` is the client's aim, in calls per second."""
        self.home = home
        self.journal = home / "journal"
        self._seed = seed
        self._rate = rate
        self._stack = ExitStack()
        self._report: dict[str, Any] = {}
        self._changes: list[Change] = []
        self._alarms: list[Alarm] = []
        self._pace: deque[tuple[float, int]] = deque()

    def __enter__(self) -> "Stage":
        with ExitStack() as starting:
            self._start(starting)
            self._stack = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        self.journal.mkdir(parents=True, exist_ok=True)
        self.collector = stack.enter_context(Collector())
        server = Child("pilotfish.demo.server", ["--seed", str(self._seed)], self.home / "server.log")
        stack.callback(server.stop)
        profiles = self._write_profiles()  # while the server starts and trains
        self.upstreams: dict[str, str] = server.hear(START_SECONDS)

        self.address, self.admin = free_addresses(2)
        self.configuration = self.home / "pilotfish.yaml"
        values = configuration.configuration(
            listen=self.address,
            admin=self.admin,
            upstreams=self.upstreams,
            profiles=profiles,
            journal=self.journal,
            otlp=self.collector.grpc_endpoint,
        )
        configuration.write(values, self.configuration)
        self.sidecar = Sidecar(self.configuration, self.admin, self.home / "sidecar.log")
        stack.callback(self.sidecar.stop)
        self._client = self._start_client()  # it calls nobody before its first order
        stack.callback(self._client.stop)
        self.sidecar.wait_ready(START_SECONDS)
        self._await("report", START_SECONDS)

    def _write_profiles(self) -> dict[str, Path]:
        training, _live = models.halves(self._seed)
        paths = {}
        for version in models.VERSIONS:
            paths[version] = self.home / f"{version}.profile"
            paths[version].write_bytes(models.profile(version, training))
        return paths

    def _start_client(self) -> Child:
        flags = {
            "through": self.address,
            "direct": self.upstreams["v1"],
            "rate": self._rate,
            "rows": configuration.ROWS_PER_CALL,
            "seed": self._seed,
        }
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        return Child("pilotfish.demo.traffic", arguments, self.home / "traffic.log")

    def change(self, phase: Phase) -> Change:
        """Begin a phase: change the lens, and note when that was by the client's count."""
        self._client.order({"lens": {"haze": phase.lens.haze, "stuck": phase.lens.stuck}})
        said = self._await("changed", ANSWER_SECONDS)
        shadowed = model_rows(self.sidecar.snapshot(), SHADOW)
        change = Change(phase, said["calls"], {**said["rows"], SHADOW: shadowed})
        self._changes.append(change)
        return change

    def look(self) -> View:
        """What there is to see now. Raises ChildError when a process has ended."""
        self._take_reports()
        if not self._client.alive():
            raise self._client.failure("ended")
        self._alarms += self.sidecar.alarms(self._alarms[-1].sequence if self._alarms else 0)
        view = look(self.sidecar.snapshot(), self._report, self._calls_per_second())
        return view.within(self._changes, self._alarms)

    def look_back(self) -> tuple[Change, ...]:
        """The changes so far."""
        return tuple(self._changes)

    def end(self) -> dict[str, Any]:
        """End the client, then the sidecar, which exports what it still holds. Returns its last snapshot."""
        self._client.stop()
        self._take_reports()
        snapshot = self.sidecar.snapshot()
        deadline = time.monotonic() + SETTLE_SECONDS
        while busy(snapshot) and time.monotonic() < deadline:
            time.sleep(0.1)
            snapshot = self.sidecar.snapshot()
        self.sidecar.stop()
        return snapshot

    def _calls_per_second(self) -> float:
        now, calls = time.monotonic(), self._report["calls"]
        self._pace.append((now, calls))
        while now - self._pace[0][0] > RATE_SECONDS:
            self._pace.popleft()
        then, before = self._pace[0]
        return (calls - before) / (now - then) if now > then else 0.0

    def calls_made(self) -> int:
        """Calls that the client has made through the sidecar, by its own count."""
        calls: int = self._report["calls"]
        return calls

    def _take_reports(self) -> None:
        for line in self._client.heard():
            self._report = line.get("report", self._report)

    def _await(self, kind: str, timeout: float) -> dict[str, Any]:
        """The next line of that kind from the client; reports that come before it are noted."""
        while True:
            line = self._client.hear(timeout)
            self._report = line.get("report", self._report)
            if kind in line:
                found: dict[str, Any] = line[kind]
                return found


def busy(snapshot: Mapping[str, Any]) -> bool:
    """Whether a sidecar still has calls in flight or in its queues."""
    queued = snapshot["statistics"]["queued"] + snapshot["journal"]["queued"]
    return bool(queued or snapshot["calls"]["active"] or any(s["in_flight"] for s in snapshot["shadows"]))


def model_rows(snapshot: Mapping[str, Any], version: str) -> int:
    """Rows of a version that a sidecar has watched."""
    return sum(model["rows"] for model in snapshot["models"] if model["version"] == version)
