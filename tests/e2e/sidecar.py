"""pilotfish as a user starts it: its command line, before an upstream, watched through its admin port."""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.process import free_port, running

SETTLING_LIMIT = 20.0  # seconds the observer may need to work off its queue on a busy machine


@dataclass(frozen=True)
class Sidecar:
    """Addresses of a running sidecar."""

    address: str
    admin: str

    def snapshot(self) -> dict[str, Any]:
        """``GET /api/v1/snapshot``, once everything that was forwarded has been observed."""
        deadline = time.monotonic() + SETTLING_LIMIT
        while (taken := self.current())["statistics"]["queued"] or taken["calls"]["active"]:
            assert time.monotonic() < deadline, f"still busy: {taken['calls']}, {taken['statistics']}"
            time.sleep(0.02)
        return taken

    def current(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{self.admin}/api/v1/snapshot", timeout=10) as answer:
            content: dict[str, Any] = json.load(answer)
        return content

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def before(
    upstream: str, directory: Path, python: Sequence[str] = (sys.executable,), options: Sequence[str] = ()
) -> Iterator[Sidecar]:
    """``pilotfish run --upstream UPSTREAM``: no configuration file, as the README begins."""
    sidecar = Sidecar(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
    where = ["--upstream", upstream, "--listen", sidecar.address, "--admin", sidecar.admin]
    with running([*python, "-m", "pilotfish", "run", *where, *options], directory, sidecar.ready):
        yield sidecar
