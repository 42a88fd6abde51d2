"""Metadata as grpcio hands it over: a tuple of pairs, in order, with duplicates.

It is passed on as it came. Only values that C-core receives but refuses to send (anything outside printable
ASCII) are left out, because one of them would fail the whole call; each is counted, and the first of a key
is logged.
"""

from typing import Final

import structlog

from pilotfish.call import Metadata

SHADOW_MARK: Final[Metadata] = (("x-pilotfish-shadow", "1"),)
"""Added to the copy a shadow sees, so that it can tell that nobody waits for its answer."""

_LOGGED_KEYS_AT_MOST = 64

_log = structlog.get_logger("pilotfish.plane")


class Filter:
    """Leaves out what cannot be sent, and keeps count."""

    __slots__ = ("_logged", "refused")

    def __init__(self) -> None:
        self.refused = 0
        """Values left out since the start."""
        self._logged: set[str] = set()

    def carriable(self, metadata: Metadata) -> Metadata:
        """``metadata`` itself if all of it can be sent (nearly always); else a copy without the rest."""
        for _, value in metadata:
            if value.__class__ is str and not (value.isascii() and value.isprintable()):
                return self._without_refused(metadata)
        return metadata

    def _without_refused(self, metadata: Metadata) -> Metadata:
        kept = tuple(entry for entry in metadata if _sendable(entry[1]))
        self.refused += len(metadata) - len(kept)
        for key in {key for key, value in metadata if not _sendable(value)} - self._logged:
            if len(self._logged) < _LOGGED_KEYS_AT_MOST:  # keys come from clients
                self._logged.add(key)
                _log.warning("metadata.refused", key=key, remedy="use a key that ends in -bin")
        return kept


def _sendable(value: str | bytes) -> bool:
    return isinstance(value, bytes) or (value.isascii() and value.isprintable())
