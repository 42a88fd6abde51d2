"""The sidecar with a Python thread that computes while a file named ``spin`` lies beside its configuration.

So that the interpreter's lock is always wanted, for as long as a measurement asks for it. The command line is
that of ``pilotfish``.
"""

import os
import sys
import threading
import time
from pathlib import Path

LOOK_SECONDS = 0.02
TURNS = 200_000
"""Between two looks at the file while it computes, some ten milliseconds."""


def main(command: list[str]) -> None:
    asked = Path(command[command.index("--config") + 1]).parent / "spin"
    threading.Thread(target=spin, args=(asked,), daemon=True).start()
    sys.argv = ["pilotfish", *command]
    from pilotfish.cli import main as pilotfish

    pilotfish()


def spin(asked: Path) -> None:
    """Never ends. On a core of its own, where there is one: the plane keeps the others."""
    mine = threading.get_native_id()
    elsewhere = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(mine)
    if elsewhere:
        os.sched_setaffinity(mine, elsewhere)
    while True:
        if not asked.exists():
            time.sleep(LOOK_SECONDS)
            continue
        turns = 0
        while turns < TURNS:
            turns += 1


if __name__ == "__main__":
    main(sys.argv[1:])
