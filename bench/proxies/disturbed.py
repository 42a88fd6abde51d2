"""The sidecar with something going on beside its native plane: what that does to the calls.

``spin`` keeps a Python thread computing on another core, so that the interpreter's lock is always wanted;
``export`` takes a snapshot of everything, as an exporter does, ten times a second; ``still`` does neither and
is what the other two are compared with. The rest of the command line is that of ``pilotfish``.
"""

import os
import sys
import threading
import time
import urllib.request
from pathlib import Path

import yaml

EXPORTS_SECONDS = 0.1


def main(arguments: list[str]) -> None:
    what, *command = arguments
    if what == "spin":
        threading.Thread(target=spin, daemon=True).start()
    elif what == "export":
        configuration = yaml.safe_load(Path(command[command.index("--config") + 1]).read_text())
        threading.Thread(target=export, args=(configuration["admin"],), daemon=True).start()
    sys.argv = ["pilotfish", *command]
    from pilotfish.cli import main as pilotfish

    pilotfish()


def spin() -> None:
    """Never ends and never waits. On a core of its own, where there is one: the plane keeps the others."""
    mine = threading.get_native_id()
    here = os.sched_getaffinity(mine)
    elsewhere = set(range(os.cpu_count() or 1)) - here
    if elsewhere:
        os.sched_setaffinity(mine, elsewhere)
    turns = 0
    while True:
        turns += 1


def export(admin: str) -> None:
    """Reads the detailed snapshot over and over, once there is one to read."""
    url = f"http://{admin}/api/v1/snapshot?detail=1"
    while True:
        time.sleep(EXPORTS_SECONDS)
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                answer.read()
        except OSError:
            continue


if __name__ == "__main__":
    main(sys.argv[1:])
