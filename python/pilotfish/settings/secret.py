"""What must not be printed: credentials in values, wherever a configuration or an error is shown.

Settings are not meant to hold secrets (exporters take theirs from OTEL_* variables), but people put them
there.
"""

import re
from typing import Any

from pilotfish.metadata import forbidden

MASK = "***"
_SECRET_KEY = re.compile(
    r"(^|[_.-])(password|passwd|secret|token|api[_-]?key|authorization|cookie|credentials?)([_.-]|$)", re.I
)
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def is_secret(key: str) -> bool:
    """Whether the value under this key is not to be shown."""
    return forbidden(key) or _SECRET_KEY.search(key) is not None


def mask(value: Any, key: str = "") -> Any:
    """Copy plain data with every secret replaced."""
    if isinstance(value, dict):
        return {name: mask(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(item, key) for item in value]
    if isinstance(value, str):
        return MASK if is_secret(key) else _CREDENTIALS_IN_URL.sub(MASK, value)
    return value
