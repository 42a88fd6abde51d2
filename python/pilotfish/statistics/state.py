"""State files of sidecars: what several of them have seen of a model, added up.

``state.directory`` makes a sidecar write one. The files of N sidecars with the same profile add up to that of
one sidecar that saw everything: counts, windows and histograms to the last bit, in any order.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pilotfish import _core, profile
from pilotfish.errors import ProfileError, StateError


def merge(files: Iterable[Path], profiles: Iterable[Path] = ()) -> bytes:
    """Add up state files; the bytes of one, the same in any order and grouping.

    Evidence is the mean over the sidecars, all else their sum. ``profiles`` are the files the sidecars were
    given; one that was learned is in the state. Raises StateError or ProfileError.
    """
    named = [(str(file), _read(file)) for file in files]
    try:
        return _core.merge_states(named, [profile.read(path) for path in profiles])
    except _core.StateError as exc:
        raise StateError(str(exc)) from exc
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc


def models(file: Path, profiles: Iterable[Path] = (), *, detail: bool = False) -> list[dict[str, Any]]:
    """What a state file holds: the ``models`` of a snapshot. Raises StateError or ProfileError."""
    try:
        given = [profile.read(path) for path in profiles]
        held: list[dict[str, Any]] = json.loads(_core.describe_state(str(file), _read(file), given, detail))
    except _core.StateError as exc:
        raise StateError(str(exc)) from exc
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc
    return held


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise StateError(f"{file}: cannot be read: {exc.strerror}; name a file of state.directory") from exc
