"""Network addresses: ``127.0.0.1:9000``, ``[::]:9000``, ``model.svc:8001``, ``unix:/run/model.sock``.

One reading of them for every setting, so that each mistake people make (a URL, no port, an IPv6 address
without brackets) is answered with what to write instead.
"""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


def address(text: str) -> str:
    """Check an address and return it as written. Raises ValueError with the remedy."""
    if "://" in text:
        raise ValueError("is a URL; write HOST:PORT without the scheme")
    if text.startswith("unix:"):
        return _unix(text)
    host, port = split(text)
    if host.startswith("["):
        _ipv6(host)
    elif ":" in host:
        raise ValueError(f"is an IPv6 address without brackets; write '[{host}]:{port}'")
    elif not _HOST.fullmatch(host):
        raise ValueError("has no valid host name; write HOST:PORT, such as 127.0.0.1:8001")
    return text


def upstream(text: str) -> str:
    """Check an address to connect to: as :func:`address`, but with a port other than 0."""
    checked = address(text)
    if not checked.startswith("unix:") and split(checked)[1] == 0:
        raise ValueError("port 0 cannot be connected to; write the port the model server listens on")
    return checked


def split(text: str) -> tuple[str, int]:
    """Host (IPv6 in brackets) and port of a TCP address. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        given = text.strip(":")
        if given.isdigit():
            raise ValueError(f"has no host; write HOST:PORT, such as 127.0.0.1:{given}")
        raise ValueError(f"has no port; write HOST:PORT, such as {given or '127.0.0.1'}:8001")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("the port is not a number from 0 to 65535; write HOST:PORT, such as 127.0.0.1:8001")
    return host, int(port)


def same(one: str, other: str) -> bool:
    """Whether two checked addresses lead to the same socket; every port 0 is a different one."""
    if one.startswith("unix:") or other.startswith("unix:"):
        return one == other
    (host, port), (other_host, other_port) = split(one), split(other)
    if port != other_port or port == 0:
        return False
    return host == other_host or (_is_local(host) and _is_local(other_host))


def is_loopback(text: str) -> bool:
    """Whether only this machine can reach the address."""
    if text.startswith("unix:"):
        return True
    host = split(text)[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOCAL_NAMES


def _is_local(host: str) -> bool:
    try:
        parsed = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host in _LOCAL_NAMES
    return parsed.is_loopback or parsed.is_unspecified


def _unix(text: str) -> str:
    path = text.removeprefix("unix:")
    if not path.startswith("/"):
        raise ValueError("the socket path is not absolute; write unix:/run/model.sock")
    if len(path.encode()) > 107:
        raise ValueError("the socket path is longer than 107 bytes; choose a shorter one")
    return text


def _ipv6(host: str) -> None:
    try:
        ipaddress.IPv6Address(host.strip("[]"))
    except ValueError as exc:
        raise ValueError("has no valid IPv6 address in the brackets; write '[::1]:8001'") from exc


ListenAddress = Annotated[str, Field(strict=True, max_length=512), AfterValidator(address)]
"""An address to listen on; port 0 lets the system choose."""

UpstreamAddress = Annotated[str, Field(strict=True, max_length=512), AfterValidator(upstream)]
"""An address to connect to."""
