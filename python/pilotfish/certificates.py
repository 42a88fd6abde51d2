"""Certificates while the sidecar runs: the files are read again from time to time, and what happens is told.

Reading and replacing are the Rust core's, for both planes: a handshake takes what the last look has found
good. Files that cannot be used change nothing.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import structlog

from pilotfish import _core
from pilotfish.errors import ConfigurationError
from pilotfish.periodic import Periodic
from pilotfish.settings import Settings

News: TypeAlias = dict[str, Any]
"""``event`` (renewed, refused, ending), ``version``, ``reason``, ``subject``, ``not_after``."""

_log = structlog.get_logger("pilotfish.certificates")


def read(settings: Settings, now: Callable[[], float] = time.time) -> _core.Certificates:
    """Read all files. Raises ConfigurationError."""
    with _translated():
        return _core.Certificates(settings.certificate_configuration(), int(now()))


def apply(certificates: _core.Certificates, settings: Settings, now: Callable[[], float] = time.time) -> None:
    """Read the files of other settings, and use those from now on.

    Raises ConfigurationError, and then nothing has changed.
    """
    with _translated():
        certificates.apply(settings.certificate_configuration(), int(now()))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _core.CertificateError as exc:
        version, setting, what = exc.args
        raise ConfigurationError(f"{section(version)}.{setting}: {what}") from exc


def section(version: str | None) -> str:
    """Where the section of a version is written; None is the listener's."""
    return "tls" if version is None else f"versions.{version}.tls"


class CertificateWatch(Periodic):
    """Looks at the files again, and logs what has happened. ``now`` is the wall clock."""

    def __init__(
        self,
        certificates: _core.Certificates,
        *,
        period: float,
        now: Callable[[], float] = time.time,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        super().__init__("certificates", period, self.look, at_once=True, wait=wait)
        self._certificates = certificates
        self._now = now

    def look(self) -> list[News]:
        """Look once; what has happened since the last time. Never raises."""
        try:
            news: list[News] = json.loads(self._certificates.look(int(self._now())))
        except Exception as exc:  # noqa: BLE001 - the thread must outlive one bad look
            _log.error("certificates.unreadable", error=str(exc))
            return []
        for item in news:
            _say(item, int(self._now()))
        return news


def _say(item: News, now: int) -> None:
    where = section(item["version"])
    if item["event"] == "refused":
        reason = f"{where}.{item['reason']}"
        _log.error("certificate.refused", reason=reason, consequence="the one in use stays in use")
    elif item["event"] == "ending":
        days = round((item["not_after"] - now) / 86_400, 1)
        remedy = f"renew the files of {where}"
        _log.warning("certificate.ending", subject=item["subject"], days_left=days, remedy=remedy)
    else:
        _log.info("certificate.renewed", section=where, subject=item["subject"], not_after=item["not_after"])
