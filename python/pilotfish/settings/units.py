"""Quantities as people write them: ``250ms``, ``2s``, ``1m``, ``64KiB``.

They exist so that a file never holds a bare number whose unit must be guessed, and code never holds a text: a
:data:`Seconds` is a float, :data:`Bytes` an int, everywhere after validation.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

_SECONDS_PER = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES_PER = {
    "": 1, "B": 1,
    "kB": 1000, "MB": 1000**2, "GB": 1000**3,
    "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3,
}  # fmt: skip
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|KiB|MiB|GiB|)")


def seconds(value: object) -> float:
    """Read a duration: a number of seconds, or a text such as ``250ms``. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("not a duration; write 250ms, 2s or 1m")
    if not isinstance(value, str):
        return float(value)
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError("not a duration; write a number with us, ms, s, m or h, such as 250ms")
    return float(match[1]) * _SECONDS_PER[match[2]]


def size(value: object) -> int:
    """Read a size: a number of bytes, or a text such as ``64KiB``. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("not a size; write 64KiB, 8MiB or a whole number of bytes")
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("not a size; write a number with B, kB, KiB, MB, MiB, GB or GiB, such as 64KiB")
    return int(float(match[1]) * _BYTES_PER[match[2]])


def show_seconds(value: float) -> str:
    """Write a duration in the largest unit that keeps it a whole number, else in seconds."""
    for unit in ("h", "m", "s", "ms", "us"):
        count = value / _SECONDS_PER[unit]
        if count >= 1 and abs(count - round(count)) < 1e-6:
            return f"{round(count)}{unit}"
    return f"{value:g}s"


def show_size(value: int) -> str:
    """Write a size in the largest binary unit that keeps it a whole number."""
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _BYTES_PER[unit] == 0:
            return f"{value // _BYTES_PER[unit]}{unit}"
    return f"{value}B"


def _schema(pattern: re.Pattern[str], number: str) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "pattern": f"^\\s*{pattern.pattern}\\s*$"}, {"type": number}]}


Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    PlainSerializer(show_seconds, return_type=str, when_used="json"),
    WithJsonSchema(_schema(_DURATION, "number")),
]
"""A duration in seconds; written ``250ms``, ``2s``, ``1m`` or as a number of seconds."""

Bytes = Annotated[
    int,
    BeforeValidator(size),
    PlainSerializer(show_size, return_type=str, when_used="json"),
    WithJsonSchema(_schema(_SIZE, "integer")),
]
"""A size in bytes; written ``64KiB``, ``8MiB`` or as a number of bytes."""

Whole = Annotated[int, Field(strict=True)]
"""A whole number. Strict, so that neither ``true`` nor ``1.5`` passes for one."""

Flag = Annotated[bool, Field(strict=True)]
"""``true`` or ``false``; strict, so that a number or a text does not pass for one."""

Off = BeforeValidator(lambda value: "off" if value is False else value)
"""For a choice of which one is ``off``: YAML takes that word for false."""

Millionths = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
"""A share in parts per million: 10000 is 1 %."""
