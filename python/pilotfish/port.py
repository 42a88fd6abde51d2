"""Whether the address for clients can be listened on, known before anything is started.

The data plane binds it last and may still find it taken; but then half of the sidecar has been started for
nothing, and gRPC writes lines of its own beside the one that says what to do.
"""

import errno
import socket
from pathlib import Path

from pilotfish.errors import AddressInUse, ConfigurationError
from pilotfish.settings.address import split


def check_free(address: str) -> None:
    """Check an address of the form ``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:/path``.

    Raises AddressInUse when it is taken, ConfigurationError when it is not an address of this machine.
    """
    try:
        if address.startswith("unix:"):
            _check_unix(Path(address.removeprefix("unix:")))
        else:
            _check_tcp(*split(address))
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"listen: {address} is taken by another process; stop it, or choose another with --listen"
            ) from exc
        what = exc.strerror or str(exc)
        raise ConfigurationError(
            f"listen: {address}: {what}; write an address of this machine, such as 127.0.0.1:9000"
        ) from exc


def _check_tcp(host: str, port: int) -> None:
    family, _, _, _, where = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    socket.create_server(where[:2], family=family).close()


def _check_unix(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"no such folder {path.parent}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return  # nobody there: what a dead process has left behind is replaced
    raise OSError(errno.EADDRINUSE, "taken")
