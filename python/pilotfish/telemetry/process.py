"""CPU, memory, threads and age of this process, by the names of the semantic conventions.

Registered as observable instruments of the SDK, and never absent: the SDK asks our reader for points only
when at least one of its own instruments has data.
"""

import time
from collections.abc import Callable, Iterable

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from pilotfish.telemetry import names
from pilotfish.telemetry.series import Attributes, Collection

Reading = tuple[float | int, Attributes]


class Process:
    """Reads this process. Whatever the system does not offer is left out."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._readers: dict[str, Callable[[], list[Reading]]] = {
            "process.cpu.time": self._cpu,
            "process.memory.usage": lambda: [(self._process.memory_info().rss, ())],
            "process.memory.virtual": lambda: [(self._process.memory_info().vms, ())],
            "process.thread.count": lambda: [(self._process.num_threads(), ())],
            "process.unix.file_descriptor.count": self._file_descriptors,
            "process.uptime": lambda: [(time.time() - self._process.create_time(), ())],
        }

    def readings(self) -> Collection:
        """The present values, for the Prometheus page."""
        into = Collection()
        for name in self._readers:
            for value, attributes in self._read(name):
                into.add(name, value, dict(attributes))
        return into

    def register(self, meter: Meter) -> None:
        """Make an observable instrument of every reading."""
        make = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }
        for name in self._readers:
            metric = names.metric(name)
            make[metric.instrument](name, [self._callback(name)], metric.unit, metric.description)

    def _callback(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [Observation(value, dict(attributes)) for value, attributes in self._read(name)]

    def _read(self, name: str) -> list[Reading]:
        try:
            return self._readers[name]()
        except (psutil.Error, OSError):  # /proc may be hidden from us
            return []

    def _cpu(self) -> list[Reading]:
        times = self._process.cpu_times()
        return [(times.user, ((names.CPU_MODE, "user"),)), (times.system, ((names.CPU_MODE, "system"),))]

    def _file_descriptors(self) -> list[Reading]:
        return [(self._process.num_fds(), ())] if hasattr(self._process, "num_fds") else []
