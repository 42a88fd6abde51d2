"""State that survives a restart: a file that is written now and then, and read once at the start.

What is in it belongs to the Rust core. Here is what a disk adds: that it may be full, read-only or gone, and
that a process may be killed at any moment. A file is replaced as a whole or not at all; whatever goes wrong
is counted by the core and costs what was counted since the last file, never a call.
"""

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import structlog

from pilotfish.errors import ConfigurationError
from pilotfish.periodic import Periodic
from pilotfish.settings.observing import StateSettings

FILE = "pilotfish.state"
REJECTED = "pilotfish.state.rejected"
"""What could not be taken up is kept under this name, so that the next file does not replace it."""

_LOCK = "pilotfish.state.lock"
_MAX_BYTES = 4 * 1024**3
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_log = structlog.get_logger("pilotfish.state")


class Engine(Protocol):
    """Whose state it is."""

    def state(self, clock: str, now_ns: int) -> bytes:
        """Everything that must survive, as the bytes of a file."""

    def restore(self, file: bytes | None, clock: str, now_ns: int) -> bytes:
        """Go on where a file stopped; JSON array of what was lost, and why."""

    def state_written(self, failed: str | None) -> None:
        """Count a file that was written, or could not be."""


class Keeper(Periodic):
    """Restores the state, then writes it every so often and once more when it stops.

    ``before`` is called before each file; ``now`` is monotonic nanoseconds.
    """

    def __init__(
        self,
        settings: StateSettings,
        engine: Engine,
        *,
        before: Callable[[], object] = lambda: None,
        now: Callable[[], int] = time.monotonic_ns,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        super().__init__("state", settings.interval, self.save, last=self._finish, wait=wait)
        self._directory = settings.directory
        self._engine = engine
        self.before = before
        self._now = now
        self._clock = clock()
        self._lock: int | None = None
        self._taken = False
        """Whether the file that is there is ours, or was taken up."""
        self._saving = threading.Lock()
        self._failing: str | None = None

    def restore(self) -> None:
        """Take up what was left behind, if anything. Raises ConfigurationError for what is no folder."""
        try:
            data = self._read()
        except (FileExistsError, NotADirectoryError) as exc:
            raise ConfigurationError(
                f"state.directory: {self._directory}: is no folder; name one that can be written to"
            ) from exc
        except OSError as exc:
            self._engine.restore(None, self._clock, self._now())
            _log.warning("state_lost", reason="unreadable", says=str(exc), file=str(self._directory / FILE))
            return
        if data is None:
            return
        lost: list[dict[str, Any]] = json.loads(self._engine.restore(data, self._clock, self._now()))
        for left in lost:
            _log.warning("state_lost", file=str(self._directory / FILE), **left)
        if lost:
            self._set_aside()

    def stop(self, timeout: float = 5.0) -> None:
        """Write once more and end; waits at most ``timeout`` seconds. Idempotent."""
        super().stop(timeout)

    def save(self) -> bool:
        """Write the file; False when that failed, which is counted. Never raises."""
        with self._saving:
            try:
                self.before()
                self._write(self._engine.state(self._clock, self._now()))
            except Exception as exc:  # noqa: BLE001 - the thread must outlive anything a disk or a file system does
                self._failed(exc)
                return False
            self._engine.state_written(None)
            if self._failing is not None:
                _log.info("state_written_again", file=str(self._directory / FILE))
            self._failing = None
            return True

    def _finish(self) -> None:
        self.save()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read(self) -> bytes | None:
        self._claim()
        try:
            with (self._directory / FILE).open("rb") as file:
                data = file.read(_MAX_BYTES)
        except FileNotFoundError:
            data = None
        self._taken = True
        return data

    def _set_aside(self) -> None:
        """Keep a file that could not be taken up from being replaced."""
        with contextlib.suppress(OSError):
            (self._directory / FILE).replace(self._directory / REJECTED)

    def _write(self, data: bytes) -> None:
        self._claim()
        temporary = self._directory / f".{FILE}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if not self._taken:  # what is there was in use, or could not be read, when we started
                self._set_aside()
            temporary.replace(self._directory / FILE)
            self._taken = True
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(self._directory)

    def _claim(self) -> None:
        """Hold the directory alone: two sidecars would replace each other's file. Raises OSError."""
        if self._lock is not None:
            if self._holds(self._lock):
                return
            os.close(self._lock)
            self._lock, self._taken = None, False
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno not in _CANNOT_LOCK:
                os.close(descriptor)
                if isinstance(exc, BlockingIOError):
                    message = "another process keeps its state here; give each its own state.directory"
                    raise BlockingIOError(exc.errno, message, str(self._directory)) from exc
                raise
        self._lock = descriptor

    def _holds(self, lock: int) -> bool:
        """Whether it is the directory's lock still: it may have been moved, removed or mounted over."""
        try:
            return os.path.samestat(os.fstat(lock), (self._directory / _LOCK).stat())
        except FileNotFoundError:
            return False

    def _failed(self, exc: Exception) -> None:
        reason = _reason(exc)
        self._engine.state_written(reason)
        if reason != self._failing:  # once, not every ten seconds
            _log.error("state_not_written", reason=reason, error=str(exc), directory=str(self._directory))
        self._failing = reason


def clock() -> str:
    """Name of the monotonic clock: equal for all processes since the machine was started."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return f"process {os.getpid()} {time.time_ns()}"


def _reason(exc: Exception) -> str:
    if isinstance(exc, BlockingIOError):
        return "in_use"
    if not isinstance(exc, OSError):
        return "unencodable"
    if exc.errno in _FULL:
        return "disk_full"
    return "read_only" if exc.errno in _READ_ONLY else "disk_error"


def _sync(directory: Path) -> None:
    """Make the new name last. What cannot sync a directory keeps names by itself."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in _CANNOT_LOCK:
            raise
    finally:
        os.close(descriptor)
