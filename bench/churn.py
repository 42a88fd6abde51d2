"""Connections that come and go: part of the soak.

Some say nothing, some stop within a frame, some begin a call; half are closed, half are reset. What they
leave behind in the sidecar (file descriptors, memory) is compared between equal rounds: what they leave, they
leave in each, while memory for something else may be taken in one.
"""

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import processor

AT_ONCE = 50
ROUNDS = 3
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
CALL = b"\0\0\x06\1\4\0\0\0\1" + b"\x83\x86\x44\x02/x"
"""HEADERS of a call that is not ended."""
WORDS = (b"", PREFACE, PREFACE + CALL[:12], PREFACE + CALL)
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Left:
    """What the sidecar holds."""

    descriptors: int
    resident: int


def look(pid: int) -> Left:
    return Left(len(list(Path(f"/proc/{pid}/fd").iterdir())), processor.memory_bytes(pid))


def come_and_go(port: int, connections: int) -> None:
    """Connect so many times, a few at a time, and hang up."""
    for first in range(0, connections, AT_ONCE):
        opened = []
        for number in range(first, min(first + AT_ONCE, connections)):
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            client.sendall(WORDS[number % len(WORDS)])
            if number // len(WORDS) % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            opened.append(client)
        for client in opened:
            client.close()


def rounds(pid: int, port: int, connections: int, settled: Callable[[], bool]) -> list[Left]:
    """Equal rounds, and what was left after each, once ``settled``."""
    left = []
    for _ in range(ROUNDS):
        come_and_go(port, connections // ROUNDS)
        deadline = time.monotonic() + 30
        while not settled():
            if time.monotonic() > deadline:
                raise RuntimeError("connections that have gone are still open")
            time.sleep(0.1)
        left.append(look(pid))
    return left
