"""Profile files: the reference a model's traffic is compared with, on disk.

Their form belongs to the Rust core; here is only what a file adds: that it may be missing, too large or
damaged, and that it must never be found half-written.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pilotfish import whole
from pilotfish.errors import ProfileError

MAX_BYTES = 256 * 1024 * 1024
_MAKE = "make one with `pilotfish profile build` or `pilotfish profile learn`"


def read(path: Path) -> bytes:
    """The bytes of a profile file. Raises ProfileError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as exc:
        raise ProfileError(f"no such profile; check the path, or {_MAKE}") from exc
    except OSError as exc:
        raise ProfileError(f"the profile cannot be read: {exc.strerror}; check its permissions") from exc
    if len(data) > MAX_BYTES:
        raise ProfileError("is larger than 256 MiB and so no profile; check the path")
    return data


def check(data: bytes, detail: bool = False) -> dict[str, Any]:
    """What a profile holds, as ``{"model", "rows", "hash", "features", "sections"}``.

    With ``detail`` the bins of every feature too. Raises ProfileError.
    """
    from pilotfish import _core

    try:
        return _core.describe_profile(data, detail)
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc


def beyond_bins(features: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is said of numbers whose bins, drawn from the first rows, leave out more than two would hold."""
    for feature in features:
        beyond, counted = feature["under"] + feature["over"], feature["rows"] - feature["missing"]
        if beyond * max(feature["bins"], 2) > 2 * counted:
            share = f"{100 * beyond / counted:.0f} %"
            yield (
                f"{share} of the column {feature['name']!r} lie outside its bins, which the first 65,536 "
                "rows have drawn, and changes there are hardly seen; shuffle the rows, or take the bins of a "
                "sample of all of them (--edges-from)"
            )


def write(path: Path, data: bytes) -> None:
    """Write a profile so that readers see all of it or nothing. Raises ProfileError."""
    try:
        whole.write(path, data)
    except OSError as exc:
        raise ProfileError(f"{path}: cannot be written: {exc.strerror}; choose another --out") from exc
