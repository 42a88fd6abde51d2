"""The configuration that was last in force, in a file: to start from when the given one cannot be used.

A bad configuration that reaches many sidecars must not stop those that happen to restart. Only for who asks
for it, by naming the file: whoever starts a sidecar by hand wants to be told what is wrong.
"""

import os
from pathlib import Path

import structlog

_log = structlog.get_logger("pilotfish.settings")


def keep(file: Path, text: bytes) -> None:
    """Replace the file as a whole. Never raises: a disk that is full costs the copy, and says so."""
    unfinished = file.with_name(f"{file.name}.new")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(file)
    except OSError as exc:
        _log.warning("last_good.not_kept", file=str(file), error=str(exc))


def read(file: Path) -> str | None:
    """The text of the file; None when there is none that can be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
