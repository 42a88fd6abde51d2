"""The sidecar, which notes its resident memory just before its native plane starts.

What it has then is Python and everything that was imported, without what was only needed for a moment: the
plane would give that back, and it is not its merit. What it has under load beyond that is the plane's and the
statistics'. The note is the file ``resident`` beside its configuration. The command line is that of
``pilotfish``.
"""

import os
import sys
from pathlib import Path
from typing import Any

from bench import processor


def main(command: list[str]) -> None:
    note = Path(command[command.index("--config") + 1]).parent / "resident"
    from pilotfish import _core
    from pilotfish.cli import main as pilotfish
    from pilotfish.plane.slack import give_back

    started = _core.NativePlane

    def start(*arguments: Any) -> Any:
        give_back()
        note.write_text(str(processor.resident(os.getpid())))
        return started(*arguments)

    _core.NativePlane = start  # type: ignore[assignment, misc]
    sys.argv = ["pilotfish", *command]
    pilotfish()


if __name__ == "__main__":
    main(sys.argv[1:])
