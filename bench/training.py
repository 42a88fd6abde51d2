"""Calls for the compiler to learn from: ``deploy/wheel.sh`` runs them through an extension that counts.

What is not seen here is taken for rare, so it is everything that is done for a call or a value: all payloads
in all shapes, with and without statistics and TLS.
"""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import load, origin
from bench.payload import PAYLOADS, framed, reply
from bench.peer import PEERS, ROOT, Place, pilotfish
from bench.stand import STARTUP_LIMIT, end, free_port, standing

SHAPES = ("c1m1", "c4m8", "c32m8")
CALLS = 6000  # of one payload in one shape; fewer of large ones
VALUES = 8_000_000  # in them, at most
CORE = 0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory, upstream = Path(name), free_port()
        model = origin.start(upstream, directory, CORE)
        try:
            for peer in PEERS:
                if "native" in peer.name:
                    with standing(peer, upstream, CORE) as stand:
                        drive(stand.port, directory, "http")
            with secured(Place(free_port(), upstream, free_port(), directory)) as port:
                drive(port, directory, "https")
        finally:
            end(model)
    return 0


def drive(port: int, directory: Path, scheme: str) -> None:
    """All payloads in all shapes."""
    for payload in PAYLOADS.values():
        body = directory / payload.name
        body.write_bytes(framed(payload.message()))
        calls = max(256, min(CALLS, VALUES // payload.values))
        for shape in map(load.Shape.parse, SHAPES):
            load.run(port, body, calls, shape, CORE, len(framed(reply())), scheme)


@contextmanager
def secured(place: Place) -> Iterator[int]:
    """A sidecar that speaks TLS with its clients; its port."""
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", "/CN=localhost", "-keyout", "tls.key", "-out", "tls.crt"]
    subprocess.run(["openssl", *request, *named], cwd=place.directory, check=True, capture_output=True)
    process = subprocess.Popen(pilotfish("native_tls.yaml")(place), cwd=ROOT)
    try:
        deadline = time.monotonic() + STARTUP_LIMIT
        while not listening(place.listen):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the sidecar with TLS did not start")
            time.sleep(0.1)
        yield place.listen
    finally:
        end(process)


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
