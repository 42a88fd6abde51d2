"""The sidecar of the demo: ``pilotfish run`` in a process of its own, read over its admin address.

The demo knows nothing that this address does not tell every user.
"""

import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from pilotfish.demo.child import Child
from pilotfish.demo.story import Alarm, alarm

ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.1


class Sidecar:
    """A running ``pilotfish run --config``."""

    def __init__(self, configuration: Path, admin: str, log: Path) -> None:
        """Start it; ``admin`` is the address that the configuration gives it."""
        self.admin = f"http://{admin}"
        self._child = Child("pilotfish", ["run", "--config", str(configuration)], log, talks=False)
        # No proxy of the environment knows loopback addresses.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def wait_ready(self, timeout: float) -> None:
        """Return once it takes calls. Raises ChildError when it ends, or after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self._child.alive():
                raise self._child.failure("ended instead of taking calls")
            try:
                self._get("/readyz")
            except (urllib.error.URLError, OSError):
                time.sleep(POLL_SECONDS)
            else:
                return
        raise self._child.failure(f"was not ready within {timeout:g} s")

    def snapshot(self) -> dict[str, Any]:
        """All its numbers. Raises ChildError when it does not answer."""
        found: dict[str, Any] = self._json("/api/v1/snapshot")
        return found

    def alarms(self, after: int) -> list[Alarm]:
        """Alarm events with a sequence above ``after``, oldest first. Raises ChildError without an answer."""
        return [alarm(event) for event in self._json(f"/api/v1/alarms?after={after}")]

    def stop(self) -> int:
        """End it as a service manager would, and return its exit code."""
        return self._child.terminate(timeout=20.0)

    def _json(self, path: str) -> Any:
        try:
            return json.loads(self._get(path))
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise self._child.failure(f"does not answer GET {path} ({error})") from error

    def _get(self, path: str) -> bytes:
        with self._opener.open(self.admin + path, timeout=ANSWER_SECONDS) as answer:
            body: bytes = answer.read()
            return body


def free_addresses(count: int) -> list[str]:
    """So many free loopback addresses; each is held until the last is found, so that none comes twice."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [f"127.0.0.1:{held.getsockname()[1]}" for held in sockets]
    finally:
        for held in sockets:
            held.close()
