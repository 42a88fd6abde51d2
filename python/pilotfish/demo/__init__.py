"""The demo: visual inspection through a lens that gets dirty, with everything real except the dirt.

One command shows the whole of pilotfish at work on a real model, and its exit code says whether it worked:
the README's first command is also its first test.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["run"]

_PACKAGES = {"sklearn": "scikit-learn", "tritonclient": "tritonclient[grpc]", "pyarrow": "pyarrow"}


def run(duration: float | None = None, directory: Path | None = None, seed: int = 1) -> int:
    """Run the demo; 0 when the expected alarms fired after the change and none before, else 1.

    With ``duration`` (seconds) the whole run takes about that time; without, everything is left running after
    the story until Ctrl-C. ``directory`` keeps the files (configuration, profiles, journal, logs), which
    otherwise are removed at the end. ``seed`` decides the split of the digits and the traffic.

    Returns 2 when packages of the ``demo`` extra are missing.
    """
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        sys.stderr.write(f"pilotfish demo: not installed: {names}; pip install 'pilotfish[demo]'\n")
        return 2
    from pilotfish.demo.show import show  # here, because it imports them

    return show(duration, directory, seed)
