"""A child process of the demo: started, listened to, and certain to end.

A child that talks is led by its standard input: it reads orders from it as JSON lines and ends when it
closes, which also happens when the parent dies. What it writes to standard output is read here as JSON lines.
Everything else that children write goes to a log file each.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

TAIL_LINES = 15


class ChildError(RuntimeError):
    """A child ended, or said nothing, where it should have answered; the message shows the end of its log."""


class Child:
    """``python -m <module> <arguments>`` as a subprocess in a session of its own.

    Its own session, so that Ctrl-C reaches the parent alone, which then stops its children in order.
    """

    def __init__(self, module: str, arguments: list[str], log: Path, talks: bool = True) -> None:
        """Start it; standard error, and standard output of one that does not talk, is appended to ``log``."""
        self.name = module
        self._log = log
        self._said: queue.Queue[dict[str, Any]] = queue.Queue(maxsize=4096)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 (our own modules, no shell)
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if talks else errors,
                stderr=errors,
                env=environment(os.environ),
                start_new_session=True,
            )
        assert self._process.stdin is not None
        self._orders: IO[bytes] = self._process.stdin
        self._listener = threading.Thread(target=self._listen, name=f"listen to {module}", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether it is still running."""
        return self._process.poll() is None

    def order(self, value: dict[str, Any]) -> None:
        """Send one JSON line. Raises ChildError when it has ended."""
        try:
            self._orders.write(json.dumps(value).encode() + b"\n")
            self._orders.flush()
        except OSError as error:
            raise self.failure("no longer takes orders") from error

    def heard(self) -> list[dict[str, Any]]:
        """The lines that have come since the last time, without waiting."""
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._said.get_nowait())
        return lines

    def hear(self, timeout: float) -> dict[str, Any]:
        """The next line. Raises ChildError when it ends first, or after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                return self._said.get(timeout=0.1)
            if not self.alive():
                raise self.failure(f"ended with code {self._process.returncode}")
        raise self.failure(f"said nothing for {timeout:g} s")

    def stop(self, timeout: float = 5.0) -> int:
        """End it: close its input, then ask by signal, then make sure. Returns its exit code.

        What it has said until then can still be heard.
        """
        with contextlib.suppress(OSError):
            self._orders.close()
        try:
            self._wait(timeout, self._process.terminate)
            self._wait(timeout, self._process.kill)
            code = self._process.wait()
        except KeyboardInterrupt:
            self._process.kill()
            raise
        self._listener.join(timeout)
        return code

    def terminate(self, timeout: float) -> int:
        """End it as a service manager would: SIGTERM first, then as :meth:`stop`. Returns its exit code."""
        self._process.terminate()
        try:
            self._wait(timeout, self._process.kill)
        finally:
            code = self.stop()
        return code

    def failure(self, what: str) -> ChildError:
        """The error that says ``what`` went wrong, with the end of the log."""
        lines = self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        told = "\n  ".join(lines) if lines else "(its log is empty)"
        return ChildError(f"{self.name} {what}; the end of its log {self._log}:\n  {told}")

    def _wait(self, timeout: float, insist: Callable[[], None]) -> None:
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            insist()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            with contextlib.suppress(ValueError):  # a line that is not JSON is not meant for us
                self._said.put(json.loads(line))


def environment(inherited: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
    """The environment of a child: the user's, without what would make it another demo.

    ``PILOTFISH_*`` and ``OTEL_*`` would override the demo's configuration, proxies would be asked for
    loopback addresses, and several processes with a thread per core each would fight over two cores.
    """
    unwanted = ("pilotfish_", "otel_")
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.lower().startswith(unwanted) and not name.lower().endswith("_proxy")
    }
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
