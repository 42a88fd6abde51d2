"""What one run of the peers brought: samples by cell and peer, what is missing and why, and the tables.

A cell is one payload in one shape. Added latency is taken against the direct calls of the same round,
then the median over the rounds: the machine's mood of the minute cancels out.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench import table
from bench.load import Shape
from bench.stand import Sample

DIRECT = "direct (no proxy)"
REFERENCES = ("grpcio aio", "HAProxy")
SIDECAR = "pilotfish native, monitor"
VARIANTS = ("on", "on, journal", "on, every value")


@dataclass(frozen=True)
class Cell:
    """One payload in one shape."""

    payload: str
    shape: Shape


@dataclass
class Results:
    """Filled round by round; ``skipped`` holds a reason for each peer without numbers."""

    samples: dict[tuple[Cell, str], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    skipped: dict[str, str] = field(default_factory=dict)
    plain: dict[str, int] = field(default_factory=dict)
    """Resident bytes of a sidecar before its plane started: Python, and what it imports."""
    observed: dict[str, str] = field(default_factory=dict)

    def processor(self, cell: Cell, peer: str) -> float | None:
        """Median processor time per call in microseconds."""
        samples = self.samples.get((cell, peer))
        return statistics.median(sample.cpu for sample in samples) if samples else None

    def added(self, cell: Cell, peer: str, percentile: str) -> float:
        """Median over the rounds of the latency added to a direct call, in microseconds."""
        pairs = zip(self.samples[cell, peer], self.samples[cell, DIRECT], strict=True)
        return statistics.median(
            getattr(proxied, percentile) - getattr(direct, percentile) for proxied, direct in pairs
        )

    def watching(self, payloads: Sequence[str], shapes: Sequence[Shape]) -> list[str]:
        """What watching costs: the native plane with the monitor on against off and against HAProxy."""
        lines = []
        for cell in (Cell(payload, shape) for payload in payloads for shape in shapes):
            off, haproxy = (self.processor(cell, peer) for peer in (f"{SIDECAR} off", "HAProxy"))
            for variant in VARIANTS:
                if off and (on := self.processor(cell, f"{SIDECAR} {variant}")):
                    lines.append(
                        f"{cell.payload} {cell.shape}: monitor {variant} / off {table.ratio(on, off)}, "
                        f"/ HAProxy {table.ratio(on, haproxy)}"
                    )
        return lines

    def drawn(self, payload: str, shapes: Sequence[Shape], peers: Sequence[str], markdown: bool) -> str:
        """The table of one payload: a row for every peer, those that were skipped included."""
        cells = [Cell(payload, shape) for shape in shapes]
        head = [
            "proxy",
            *(words for cell in cells for words in self._head(cell.shape)),
            "memory MB",
            "over plain",
        ]
        rows = [self._row(peer, cells) for peer in (DIRECT, *peers)]
        return table.drawn(head, rows, markdown)

    def _head(self, shape: Shape) -> list[str]:
        compared = [f"/ {reference}" for reference in REFERENCES]
        return [f"{shape} CPU µs/call", "min-max", *compared, "p50 µs", "p99 µs"]

    def _row(self, peer: str, cells: Sequence[Cell]) -> list[str]:
        if peer in self.skipped:
            return [f"{peer}: skipped, see below", *["-"] * (6 * len(cells)), "-", "-"]
        return [
            peer,
            *(words for cell in cells for words in self._words(cell, peer)),
            *self._memory(cells, peer),
        ]

    def _memory(self, cells: Sequence[Cell], peer: str) -> list[str]:
        most = max((sample.memory for cell in cells for sample in self.samples[cell, peer]), default=0)
        plain = self.plain.get(peer)
        return [f"{most / 1e6:.0f}" if most else "-", f"{(most - plain) / 1e6:+.1f}" if plain else "-"]

    def _words(self, cell: Cell, peer: str) -> list[str]:
        if peer == DIRECT:
            middle = [
                statistics.median(getattr(sample, name) for sample in self.samples[cell, DIRECT])
                for name in ("p50", "p99")
            ]
            return ["-", "-", "-", "-", *map(table.number, middle)]
        spent = self.processor(cell, peer)
        if spent is None:
            return ["-"] * 6
        every = [sample.cpu for sample in self.samples[cell, peer]]
        compared = [table.ratio(spent, self.processor(cell, reference)) for reference in REFERENCES]
        added = [f"{self.added(cell, peer, name):+.0f}" for name in ("p50", "p99")]
        return [
            table.number(spent),
            f"{table.number(min(every))}-{table.number(max(every))}",
            *compared,
            *added,
        ]
