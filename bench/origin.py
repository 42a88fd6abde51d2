"""The model server's stand-in: nghttpd, which reads the request and answers every call with the same reply.

The cheapest real HTTP/2 server at hand: whatever a proxy adds is not hidden behind the time of a model.
"""

import subprocess
from pathlib import Path

from bench.payload import METHOD, framed, reply

WINDOW_BITS = "24"


def start(port: int, directory: Path, core: int) -> "subprocess.Popen[bytes]":
    """Serve the reply under the method's path, ``grpc-status: 0`` as a trailer. The caller ends it."""
    answer = directory / METHOD.lstrip("/")
    answer.parent.mkdir(parents=True, exist_ok=True)
    answer.write_bytes(framed(reply()))
    windows = [f"-w{WINDOW_BITS}", f"-W{WINDOW_BITS}"]
    command = [
        "nghttpd",
        "--no-tls",
        "-d",
        str(directory),
        "--trailer=grpc-status: 0",
        "-m1024",
        *windows,
        str(port),
    ]
    return subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL)
