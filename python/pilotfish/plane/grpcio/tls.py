"""TLS as far as grpcio carries it.

The listener's files are asked for at every handshake, so new ones are used at once. A channel keeps what it
was made with: a new certificate for a model server is used after a restart.
"""

from dataclasses import dataclass

import grpc

from pilotfish._core import Certificates
from pilotfish.settings.tls import ListenerTls


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a channel needs to speak to a model server."""

    credentials: grpc.ChannelCredentials
    name: str
    """The name its certificate must be for."""


def server_tls(certificates: Certificates, version: str) -> ServerTls | None:
    """For the model server of a version; None without TLS."""
    files, name = certificates.contents(version), certificates.server_name(version)
    if files is None or name is None:
        return None
    credentials = grpc.ssl_channel_credentials(files["ca"], files.get("key"), files.get("certificate"))
    return ServerTls(credentials, name)


def listener_credentials(certificates: Certificates, settings: ListenerTls) -> grpc.ServerCredentials:
    """Credentials that take the files in use at each handshake."""
    requires = settings.client_ca is not None
    fetch = Renewal(certificates)
    initial = fetch()
    assert initial is not None
    return grpc.dynamic_ssl_server_credentials(
        initial,
        fetch,  # type: ignore[arg-type]  # the stub does not know that None means no change
        require_client_authentication=requires,
    )


class Renewal:
    """What a handshake asks for new certificates.

    What it gives replaces what C-core holds, and to replace that while another handshake takes it ends the
    process now and then ("sync.cc: Check failed: prior > 0"): so only when there is a reason.
    """

    __slots__ = ("_certificates", "_given")

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._given: dict[str, bytes] | None = None

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        """The files in use, or None when they are those that were given last."""
        files = self._certificates.contents(None) or {}
        if files == self._given:
            return None
        self._given = files
        pair = (files["key"], files["certificate"])
        return grpc.ssl_server_certificate_configuration([pair], files.get("client_ca"))
