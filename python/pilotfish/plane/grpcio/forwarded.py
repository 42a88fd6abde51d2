"""What a model server is told of a client, in headers that the client could write as well.

What the client says of itself under these names is taken out. Made by the same rules as on the native plane.
"""

from functools import lru_cache
from typing import Any, Protocol

from pilotfish._core import Certificates, forwarded_client_certificate
from pilotfish.call import Metadata

CERTIFICATE = "x-forwarded-client-cert"
ADDRESS = "x-forwarded-for"


class Forwarded(Protocol):
    """One header."""

    def apply(self, context: Any, metadata: Metadata) -> Metadata:
        """The metadata that goes on."""


class ClientCertificate:
    """The identity of the client's certificate."""

    __slots__ = ("_certificates", "_value")

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._value = lru_cache(1024)(forwarded_client_certificate)

    def apply(self, context: Any, metadata: Metadata) -> Metadata:
        """The metadata that goes on."""
        shown = context.auth_context().get("x509_pem_cert")
        own = (self._certificates.contents(None) or {})["certificate"]
        return _put(metadata, CERTIFICATE, self._value(shown[0], own) if shown else None)


class ClientAddress:
    """The client's IP address."""

    def apply(self, context: Any, metadata: Metadata) -> Metadata:
        """The metadata that goes on."""
        return _put(metadata, ADDRESS, address(context.peer()))


def address(peer: str) -> str | None:
    """The address in ``ipv4:1.2.3.4:5`` or ``ipv6:%5B::1%5D:5``; None for a Unix socket."""
    family, _, rest = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return None
    return rest.rpartition(":")[0].removeprefix("%5B").removesuffix("%5D").strip("[]")


def _put(metadata: Metadata, name: str, value: str | None) -> Metadata:
    rest = tuple(entry for entry in metadata if entry[0] != name)
    return rest if value is None else (*rest, (name, value))
