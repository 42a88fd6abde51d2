"""Soak of the native plane: calls, cancels and reloads by the hundred thousand, and what is left afterwards.

    python -m bench.soak [--calls 1000000] [--cancels 100000] [--connections 50000] [--reloads 10000]

A real client (h2load) and a real server (nghttpd) on either side, statistics on, 1 % of the calls kept.
Four phases: calls alone; clients that cancel; connections that come and go; calls while the configuration is
reloaded, 30 % of the times with one that cannot be used. Fails when a call is lost, a connection is told to
go or leaves something behind, a bad configuration takes effect or a good one does not. Prints the resident
memory around each phase and how it grows.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import yaml

from bench import churn, load, machine, origin, processor
from bench.payload import METHOD, PAYLOADS, framed, reply

SHAPE = load.Shape(4, 8)
CHUNK = 50_000
AT_ONCE = 100
"""Calls that the cancelling client has open at a time."""
LIMIT = 30.0
MORE = 4_000_000
"""Bytes that memory may grow by in every round of connections that come and go."""


class SoakError(RuntimeError):
    """Something was lost."""


@dataclass
class Sidecar:
    """The sidecar under test, and its memory as it was looked at."""

    pid: int
    port: int
    admin: str
    configuration: Path
    memory: list[tuple[int, int]] = field(default_factory=list)
    """Calls so far, and resident bytes."""

    def get(self, path: str) -> Any:
        """A page of the admin address."""
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=LIMIT) as answer:
            return json.load(answer)

    def reload(self) -> tuple[bool, int]:
        """Whether it took effect, and the generation in force."""
        request = urllib.request.Request(f"http://{self.admin}/api/v1/config/reload", method="POST")
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return True, json.load(answer)["generation"]
        except urllib.error.HTTPError as error:
            return False, json.loads(error.read())["generation"]

    def is_alone(self) -> bool:
        """Whether no client is connected, no call open, and both model servers are connected.

        Those hang up on whoever resets many calls, and are called again.
        """
        counters = self.get("/api/v1/plane")["counters"]
        return not counters["connections_open"] and not counters["calls_open"] and self.is_ready()

    def is_ready(self) -> bool:
        """Whether it answers, and reaches both model servers."""
        try:
            return bool(self.get("/readyz")["upstreams"] == {"v1": "ready", "v2": "ready"})
        except OSError:
            return False

    def look(self) -> float:
        """Resident memory now, in MB."""
        resident = processor.memory_bytes(self.pid)
        self.memory.append((self.get("/api/v1/snapshot")["calls"]["total"], resident))
        return resident / 1e6


# === what is done to it ===


def call(sidecar: Sidecar, body: Path, calls: int) -> None:
    """Send calls; raises when one of them is not answered with the whole reply."""
    for chunk in range(0, calls, CHUNK):
        load.run(sidecar.port, body, min(CHUNK, calls - chunk), SHAPE, 1, len(framed(reply())))
        sidecar.look()


def cancel(sidecar: Sidecar, cancels: int) -> int:
    """Begin calls and give them up while they are open; how often the connection was told to go."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    headers = [
        (":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "model"),
        ("te", "trailers"), ("content-type", "application/grpc"),
    ]  # fmt: skip
    farewells = 0
    with socket.create_connection(("127.0.0.1", sidecar.port), timeout=LIMIT) as stream:
        connection.initiate_connection()
        for done in range(0, cancels, AT_ONCE):
            opened = []
            for _ in range(min(AT_ONCE, cancels - done)):
                opened.append(connection.get_next_available_stream_id())
                connection.send_headers(opened[-1], headers)
            connection.ping(done.to_bytes(8, "big"))  # when it comes back, all of them are under way
            stream.sendall(connection.data_to_send())
            farewells += _until_ponged(connection, stream)
            for number in opened:
                connection.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            stream.sendall(connection.data_to_send())
    return farewells


def _until_ponged(connection: h2.connection.H2Connection, stream: socket.socket) -> int:
    farewells = 0
    while data := stream.recv(65_536):
        events = connection.receive_data(data)
        stream.sendall(connection.data_to_send())
        farewells += sum(isinstance(event, h2.events.ConnectionTerminated) for event in events)
        if any(isinstance(event, h2.events.PingAckReceived) for event in events):
            return farewells
    raise SoakError("the connection of the cancelling client was closed")


def reload(sidecar: Sidecar, good: Sequence[str], reloads: int) -> float:
    """Reload, every third time or so with what cannot be used; the longest that one took, in milliseconds."""
    bad = [
        good[0].replace("stable: v", "stable: w"),
        good[0] + "sampling: {share_ppm: 2000000}\n",
        good[0] + "threads: 2\n",
        good[0][: len(good[0]) // 2],
        "",
    ]
    generation, slowest = sidecar.get("/api/v1/config")["generation"], 0.0
    for number in range(reloads):
        rejected = number % 10 in (2, 5, 8)
        text = bad[number // 3 % len(bad)] if rejected else good[number % len(good)]
        sidecar.configuration.write_text(text)
        begun = time.monotonic()
        applied, in_force = sidecar.reload()
        slowest = max(slowest, time.monotonic() - begun)
        generation += not rejected
        if applied is rejected or in_force != generation:
            raise SoakError(f"reload {number}: applied {applied}, generation {in_force} for {generation}")
    sidecar.configuration.write_text(good[0])
    return slowest * 1000


def reload_under_load(sidecar: Sidecar, body: Path, good: Sequence[str], reloads: int) -> tuple[int, float]:
    """Calls that were answered meanwhile, and the longest reload in milliseconds."""
    over, failed, answered = threading.Event(), [], [0]

    def client() -> None:
        try:
            while not over.is_set():
                load.run(sidecar.port, body, CHUNK // 5, SHAPE, 1, len(framed(reply())))
                answered[0] += CHUNK // 5
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            failed.append(error)

    caller = threading.Thread(target=client)
    caller.start()
    try:
        slowest = reload(sidecar, good, reloads)
    finally:
        over.set()
        caller.join()
    if failed:
        raise SoakError(f"calls were lost while reloading: {failed[0]}")
    return answered[0], slowest


# === the stand ===


def configurations(listen: int, admin: int, upstreams: Sequence[int]) -> list[str]:
    """Some that send all calls to one server, some to the other, some to both."""

    def configuration(stable: str, weight: int, swapped: bool) -> str:
        ports = reversed(upstreams) if swapped else upstreams
        candidate = "v2" if stable == "v1" else "v1"
        return yaml.safe_dump(
            {
                "listen": f"127.0.0.1:{listen}",
                "admin": f"127.0.0.1:{admin}",
                "versions": {f"v{n}": {"upstream": f"127.0.0.1:{port}"} for n, port in enumerate(ports, 1)},
                "routes": [
                    {
                        "name": "r",
                        "stable": stable,
                        "candidates": [{"version": candidate, "weight_ppm": weight}],
                    }
                ],
                "reload": "signal",
                "log": {"level": "error"},
            }
        )

    return [
        configuration("v1", 0, False),
        configuration("v1", 300_000, False),
        configuration("v2", 100_000, False),
        configuration("v1", 500_000, True),
        configuration("v2", 0, True),
    ]


@contextmanager
def running(directory: Path) -> Iterator[tuple[Sidecar, list[str]]]:
    """The sidecar before two servers."""
    with ExitStack() as stack:
        ports = [_free_port() for _ in range(4)]
        for port in ports[:2]:
            stack.callback(_end, origin.start(port, directory / "origin", 0))
        good = configurations(*ports[2:], ports[:2])
        file = directory / "pilotfish.yaml"
        file.write_text(good[0])
        command = [sys.executable, "-m", "pilotfish", "run", "--config", str(file)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # thousands of rejected reloads
        stack.callback(_end, process)
        sidecar = Sidecar(process.pid, ports[2], f"127.0.0.1:{ports[3]}", file)
        _await(sidecar)
        yield sidecar, good


def _await(sidecar: Sidecar) -> None:
    deadline = time.monotonic() + LIMIT
    while not sidecar.is_ready():
        if time.monotonic() > deadline:
            raise SoakError("the sidecar does not get ready")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(LIMIT)


# === what came of it ===


def slope(memory: Sequence[tuple[int, int]]) -> float:
    """Growth in MB over a million calls, by least squares over the later half of what was seen."""
    late = memory[len(memory) // 2 :]
    mean = [sum(values) / len(late) for values in zip(*late, strict=True)]
    spread = sum((calls - mean[0]) ** 2 for calls, _ in late)
    return sum((calls - mean[0]) * (resident - mean[1]) for calls, resident in late) / max(spread, 1.0)


def soak(calls: int, cancels: int, connections: int, reloads: int, directory: Path) -> None:
    """Run all phases. Raises SoakError or load.LoadError."""
    body = directory / "request"
    body.write_bytes(framed(PAYLOADS["4KiB"].message()))
    with running(directory) as (sidecar, good):
        call(sidecar, body, CHUNK)
        print(f"warm: {sidecar.look():.1f} MB after {CHUNK} calls", flush=True)

        sidecar.memory.clear()
        begun = time.monotonic()
        call(sidecar, body, calls)
        growth = slope(sidecar.memory)
        print(
            f"calls: {calls} answered, none lost, in {time.monotonic() - begun:.0f} s; "
            f"{sidecar.look():.1f} MB, {growth:+.2f} MB per million calls",
            flush=True,
        )

        begun = time.monotonic()
        farewells = cancel(sidecar, cancels)
        deadline = time.monotonic() + LIMIT
        while (counters := sidecar.get("/api/v1/plane")["counters"])["calls_open"]:
            if time.monotonic() > deadline:
                raise SoakError(f"{counters['calls_open']} cancelled calls are still open")
        if farewells or counters["calls_reset_by_client"] != cancels:
            raise SoakError(f"{farewells} GOAWAY, {counters['calls_reset_by_client']} cancels of {cancels}")
        print(
            f"cancels: {cancels} seen, 0 GOAWAY, in {time.monotonic() - begun:.0f} s; "
            f"{sidecar.look():.1f} MB",
            flush=True,
        )

        begun = time.monotonic()
        left = churn.rounds(sidecar.pid, sidecar.port, connections, sidecar.is_alone)
        growth = min(after.resident - before.resident for before, after in pairwise(left))
        if left[-1].descriptors > left[0].descriptors or growth > MORE:
            raise SoakError(f"connections left something behind: {left}")
        print(
            f"connections: {connections} came and went, in {time.monotonic() - begun:.0f} s; "
            f"{left[-1].descriptors} descriptors, {growth / 1e6:+.2f} MB in the round with least",
            flush=True,
        )

        begun = time.monotonic()
        answered, slowest = reload_under_load(sidecar, body, good, reloads)
        print(
            f"reloads: {reloads}, 30 % of them bad, in {time.monotonic() - begun:.0f} s, the slowest "
            f"{slowest:.0f} ms; {answered} calls meanwhile, none lost; {sidecar.look():.1f} MB",
            flush=True,
        )
        report = sidecar.get("/api/v1/config")["reloads"]
        counters = sidecar.get("/api/v1/plane")["counters"]
        held = counters["upstream_connected"] - counters["upstream_lost"]
        print(f"counted: {report}; {held} connections to model servers are open")
        print("counters: " + ", ".join(f"{name} {count}" for name, count in counters.items() if count))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--cancels", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=50_000)
    parser.add_argument("--reloads", type=int, default=10_000)
    options = parser.parse_args()
    print("\n".join(machine.described()))
    with tempfile.TemporaryDirectory(prefix="pilotfish-soak-") as directory:
        soak(options.calls, options.cancels, options.connections, options.reloads, Path(directory))


if __name__ == "__main__":
    main()
