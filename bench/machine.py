"""The machine a table was made on: without it a number means nothing."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path


def described(core: int | None = None) -> list[str]:
    """Lines to print above a table: command, pinning, processor, kernel, load, revision."""
    pinning = (
        f"everything pinned to core {core} of {os.cpu_count()}"
        if core is not None
        else f"{os.cpu_count()} cores, not pinned"
    )
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    now = datetime.now(timezone.utc)
    return [
        f"command: python -m {shlex.join(['bench.' + Path(sys.argv[0]).stem, *sys.argv[1:]])}",
        f"machine: {processor_name()}, {pinning}, {system}",
        f"revision {revision()}; {now:%Y-%m-%d %H:%M} UTC; load before {os.getloadavg()[0]:.2f}",
    ]


def processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def revision() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
