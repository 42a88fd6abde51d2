"""A segment: one file that is only appended to, and an append is whole or did not happen.

A full disk writes half of what it is given. Without taking that half back, the next record would be glued to
the torn one, and a call counted as dropped could be found in the file.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""What network file systems without locks say; two sidecars must not share a directory there."""


class Segment:
    """An open file with a known length. Raises OSError from everything that touches the disk."""

    def __init__(self, path: Path, start: bytes = b"") -> None:
        self.path = path
        self.size = 0
        self._torn = False
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            _lock(self._descriptor)
            self.append(start)
        except OSError:
            self.discard()
            raise
        self.start = self.size
        """Length of what stands before the first record."""

    @property
    def usable(self) -> bool:
        """Whether the next append would reach a file that can still be found, with nothing torn before it."""
        return not self._torn and os.fstat(self._descriptor).st_nlink > 0

    def append(self, data: bytes) -> None:
        """Add data at the end, or raise OSError and leave the file as it was."""
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._descriptor, view)
                if written == 0:
                    raise OSError(errno.EIO, "the disk takes no bytes", str(self.path))
                view = view[written:]
        except OSError:
            self._take_back()
            raise
        self.size += len(data)

    def close(self) -> None:
        """Give the file up; one without records is removed."""
        if self.size <= self.start:
            self.discard()
        else:
            os.close(self._descriptor)

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
        except OSError:
            self._torn = True  # the half stays; whoever reads stops at it, and nothing is appended after it


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Hold a finished segment alone while the block runs; False when it is gone or open elsewhere."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def in_use(path: Path) -> bool:
    """Whether a living process (this one too) has the file open as a segment."""
    with claim(path) as free:
        return not free


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        if exc.errno not in _CANNOT_LOCK:
            raise
    return True
