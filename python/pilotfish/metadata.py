"""Which metadata may be written out: an allow-list, and the names no allow-list can open.

A leaf, so that the settings (which refuse a forbidden name) and the journal (which would not write it anyway)
hold one rule instead of two.
"""

import base64
from collections.abc import Set as AbstractSet

from pilotfish.call import Metadata

_NEVER = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "token"}
)
_NEVER_ENDINGS = ("-token", "-api-key", "-authorization")


def forbidden(name: str) -> bool:
    """Whether a metadata name carries credentials, so that its value must never leave the process."""
    plain = name.strip().lower().removesuffix("-bin")
    return plain in _NEVER or plain.endswith(_NEVER_ENDINGS)


def allowed(metadata: Metadata, names: AbstractSet[str]) -> dict[str, list[str]]:
    """The values of the allowed names, in the order sent; ``names`` are lower-case.

    A name may come more than once, so every value is a list. Values of ``-bin`` names are base64 (RFC 4648).
    """
    kept: dict[str, list[str]] = {}
    for sent, value in metadata:
        name = sent.lower()
        if name in names and not forbidden(name):
            kept.setdefault(name, []).append(_text(name, value))
    return kept


def _text(name: str, value: str | bytes) -> str:
    if name.endswith("-bin"):
        return base64.b64encode(
            value if isinstance(value, bytes) else value.encode("utf-8", "replace")
        ).decode()
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
