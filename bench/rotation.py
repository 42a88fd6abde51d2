"""Soak of renewed certificates: what clients notice of them is nothing.

    PYTHONPATH=tests python -m bench.rotation [--seconds 60] [--every 2]

A sidecar that speaks TLS on both sides gets other certificates every few seconds, each third time ones that
cannot be used, while real clients (grpcio) connect anew without pause and one stream goes on from the
beginning to the end. Fails when a call fails, the stream breaks, or a good certificate is not taken up. G13
of the goals is an hour of it: ``--seconds 3600 --every 10``.
"""

import argparse
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import yaml
from authority import Authority

from bench import churn, machine
from bench.stand import end, free_port

CALLERS = 2
CALLS = 20
"""On one connection, before the next one is made."""
LIMIT = 30.0


class Echo(grpc.GenericRpcHandler):
    """Sends every message back."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ARG002
        """The same for every method."""
        return grpc.stream_stream_rpc_method_handler(lambda requests, _: requests)


@dataclass
class Tally:
    """What the clients saw."""

    calls: int = 0
    connections: int = 0
    streamed: int = 0
    failed: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@dataclass
class Files:
    """A folder that is exchanged as a whole, as Kubernetes mounts secrets."""

    home: Path
    authority: Authority
    number: int = 0

    def renew(self, good: bool) -> None:
        """Exchange it for one with another certificate, whose key is not its own unless it is ``good``."""
        self.number += 1
        folder = self.home / f"number-{self.number}"
        self.authority.pair().write(folder)
        if not good:
            (folder / "tls.key").write_bytes(self.authority.pair().key)
        link = self.home / "swapped"
        link.symlink_to(folder)
        link.rename(self.home / "mounted")


# === what is done to it ===


def call(address: str, credentials: grpc.ChannelCredentials, tally: Tally) -> None:
    options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
    while not tally.over.is_set():
        with grpc.secure_channel(address, credentials, options=options) as channel:
            echo = channel.unary_unary("/test.Any/Call")
            tally.connections += 1
            for number in range(CALLS):
                try:
                    assert echo(bytes([number]), timeout=LIMIT) == bytes([number])
                    tally.calls += 1
                except (grpc.RpcError, AssertionError) as error:
                    tally.failed.append(repr(error))


def stream(address: str, credentials: grpc.ChannelCredentials, tally: Tally) -> None:
    options = [("grpc.ssl_target_name_override", "localhost")]
    sent: queue.Queue[bytes | None] = queue.Queue()
    with grpc.secure_channel(address, credentials, options=options) as channel:
        echoes = channel.stream_stream("/test.Any/Stream")(iter(sent.get, None))
        try:
            while not tally.over.wait(0.05):
                sent.put(b"still there")
                assert next(echoes) == b"still there"
                tally.streamed += 1
            sent.put(None)
            assert list(echoes) == []
        except (grpc.RpcError, AssertionError) as error:
            tally.failed.append(f"the stream: {error!r}")


def renewals(admin: str) -> dict[str, int]:
    """How often files were taken up, and refused."""
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=LIMIT) as answer:
        page = answer.read().decode()
    found = re.findall(r'^pilotfish_certificate_renewals_total\{.*outcome="(\w+)".*\} (\d+)', page, re.M)
    counts: dict[str, int] = {}
    for outcome, count in found:
        counts[outcome] = counts.get(outcome, 0) + int(count)
    return counts


# === the stand ===


def configuration(home: Path, upstream: int) -> dict[str, Any]:
    files = {"certificate": f"{home}/mounted/tls.crt", "key": f"{home}/mounted/tls.key"}
    model = {"upstream": f"localhost:{upstream}", "tls": {"ca": f"{home}/ca.crt"}}
    return {
        "listen": f"127.0.0.1:{free_port()}",
        "admin": f"127.0.0.1:{free_port()}",
        "tls": files,
        "certificate_interval": 0.2,
        "versions": {"v1": model},
        "log": {"level": "error"},
    }


def model(stack: ExitStack, authority: Authority) -> int:
    server = grpc.server(futures.ThreadPoolExecutor(16), handlers=[Echo()])
    pair = authority.pair()
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pair.key, pair.certificate)]))
    server.start()
    stack.callback(server.stop, 0)
    return int(port)


def until_ready(admin: str) -> None:
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            with urllib.request.urlopen(f"http://{admin}/readyz", timeout=LIMIT):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def turns(seconds: float, every: float) -> Iterator[int]:
    """One every so often, until the time is over."""
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() + every <= until:
        time.sleep(every)
        yield number
        number += 1


def soak(seconds: float, every: float, home: Path) -> int:
    """Exit code 1 when something was noticed."""
    authority = Authority()
    (home / "ca.crt").write_bytes(authority.pem)
    files = Files(home, authority)
    files.renew(good=True)
    tally = Tally()
    with ExitStack() as stack:
        settings = configuration(home, model(stack, authority))
        (home / "p.yaml").write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "pilotfish", "run", "--config", str(home / "p.yaml")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        stack.callback(end, process)
        until_ready(settings["admin"])
        credentials = grpc.ssl_channel_credentials(authority.pem)
        clients = [call] * CALLERS + [stream]
        threads = [
            threading.Thread(target=client, args=(settings["listen"], credentials, tally))
            for client in clients
        ]
        for thread in threads:
            thread.start()
        good = bad = 0
        before = churn.look(process.pid)
        for number in turns(seconds, every):
            refused = number % 3 == 2
            files.renew(good=not refused)
            good, bad = good + (not refused), bad + refused
        time.sleep(1)
        counts = renewals(settings["admin"])
        after = churn.look(process.pid)
        tally.over.set()
        for thread in threads:
            thread.join(LIMIT)
    print(
        f"rotation: {good} renewed, {bad} refused (counted: {counts}); {tally.calls} calls on "
        f"{tally.connections} connections, {tally.streamed} messages on one stream, "
        f"{len(tally.failed)} failed; {before.resident / 1e6:.1f} MB before, "
        f"{after.resident / 1e6:.1f} MB after"
    )
    print("\n".join(tally.failed[:5]), end="")
    return int(bool(tally.failed) or counts.get("renewed") != good or not counts.get("refused"))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=2)
    options = parser.parse_args()
    print("\n".join(machine.described()))
    with tempfile.TemporaryDirectory(prefix="pilotfish-rotation-") as home:
        sys.exit(soak(options.seconds, options.every, Path(home)))


if __name__ == "__main__":
    main()
