"""``pilotfish`` as a process before a model server in threads: what tests of its life stand on."""

import json
import os
import queue
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest

from pilotfish.testing.model import MODEL_INFER, infer_request, infer_response

PATIENCE = 60.0
"""Seconds after which a process that does not do what is awaited has failed; nothing waits for that long."""

REQUEST = infer_request("digits", {"x": np.zeros((2, 3), np.float32)})
RESPONSE = infer_response("digits", {"y": np.zeros(2, np.int64)})


class Model(grpc.GenericRpcHandler):
    """A model server in threads. While `gate` is closed, calls wait inside of it."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.inside = threading.Semaphore(0)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.inside.release()
        assert self.gate.wait(PATIENCE)
        return RESPONSE


@pytest.fixture
def model() -> Iterator[tuple[Model, str]]:
    handler = Model()
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[handler])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield handler, address
    handler.gate.set()
    server.stop(0).wait(PATIENCE)


class Process:
    """``pilotfish`` as a process; its log lines are read as they come."""

    def __init__(self, *arguments: str) -> None:
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("PILOTFISH_", "OTEL_"))
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pilotfish", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def event(self, name: str) -> dict[str, Any]:
        """The next log line with this event."""
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            if line.startswith("{") and json.loads(line)["event"] == name:
                found: dict[str, Any] = json.loads(line)
                return found
        raise AssertionError(f"ended without logging {name!r}")

    def rest(self) -> str:
        """Everything else it writes to standard error, until it ends."""
        lines = []
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            lines.append(line)
        return "".join(lines)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def output(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*arguments: str) -> Process:
        started.append(Process(*arguments))
        return started[-1]

    yield start
    for process in started:
        process.close()


@contextmanager
def dial(address: str) -> Iterator[Any]:
    with grpc.insecure_channel(address) as channel:
        yield channel.unary_unary(MODEL_INFER)


def run(start: Callable[..., Process], upstream: str, *more: str) -> tuple[Process, dict[str, Any]]:
    process = start("run", "--upstream", upstream, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *more)
    return process, process.event("running")


def get(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE) as answer:
        return json.loads(answer.read())


def post(address: str, path: str) -> tuple[int, Any]:
    """Status and body of the answer."""
    request = urllib.request.Request(f"http://{address}{path}", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
