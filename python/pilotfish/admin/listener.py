"""The socket of the admin address.

Bound before anything else runs, so that a taken port is one clear line at the start.
"""

import errno
import socket
from contextlib import suppress
from pathlib import Path

from pilotfish.errors import AddressInUse, ConfigurationError
from pilotfish.settings.address import split

_BACKLOG = 64


def listen(address: str) -> tuple[socket.socket, str]:
    """Listen on a checked address (``HOST:PORT``, ``[IPV6]:PORT``, ``unix:/path``); says what was bound.

    Raises AddressInUse when it is taken, ConfigurationError when it cannot be had for another reason.
    """
    try:
        bound = _unix(Path(address.removeprefix("unix:"))) if address.startswith("unix:") else _tcp(address)
    except OSError as exc:
        raise _translated(address, exc) from exc
    return bound, _shown(bound)


def forget(address: str) -> None:
    """Remove the file a bound ``unix:`` address leaves behind."""
    if address.startswith("unix:"):
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def _tcp(address: str) -> socket.socket:
    host, port = split(address)
    family, _, _, _, where = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(where[:2], family=family, backlog=_BACKLOG)


def _unix(path: Path) -> socket.socket:
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(0o660)
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that has died; one that answers stays, and binding then fails."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            with suppress(OSError):
                path.unlink()


def _shown(bound: socket.socket) -> str:
    if bound.family == socket.AF_UNIX:
        return f"unix:{bound.getsockname()}"
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if bound.family == socket.AF_INET6 else f"{host}:{port}"


def _translated(address: str, exc: OSError) -> Exception:
    if exc.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"admin: {address} is taken by another process; stop it, or choose another address with --admin "
            "(port 0 lets the system choose)"
        )
    return ConfigurationError(
        f"admin: {address}: {exc.strerror or exc}; write an address of this machine, such as 127.0.0.1:9901"
    )
