"""Settings of TLS: the certificate that clients see, and what is known of the model servers' own.

All are paths of PEM files, because that is how certificates are handed over and renewed: by a secret that is
mounted, by cert-manager, by whoever writes them. They are read again while the sidecar runs.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotfish.settings import address
from pilotfish.settings.section import Section, Text
from pilotfish.settings.units import Flag

if TYPE_CHECKING:
    from pilotfish.settings.routing import Version


class ListenerTls(Section):
    """TLS with clients: 1.2 or 1.3, and HTTP/2 in ALPN. Without it clients speak HTTP/2 in the clear."""

    certificate: Path
    """The certificate that clients see, then those between it and its authority, in PEM (`tls.crt`)."""
    key: Path
    """Its private key in PEM, without a passphrase (`tls.key`)."""
    client_ca: Path | None = None
    """The authorities whose client certificates are accepted, in PEM (`ca.crt`). Without it none is asked
    for."""
    require_client_certificate: Flag = True
    """With `client_ca`: whether a client must show a certificate. One that is shown must be good either
    way."""
    forward_client_certificate: Flag = False
    """With `client_ca`: whether the model server is told who the client is, in `x-forwarded-client-cert` as
    Envoy writes it. What a client sends under that name is then taken out; otherwise it goes on like any
    metadata, and the model server must not trust it."""


class UpstreamTls(Section):
    """TLS with the model server of a version. Without it the server is spoken to in the clear."""

    ca: Path
    """The authorities that the model server's certificate must come from, in PEM; for the public ones
    that is the system's own file, such as /etc/ssl/certs/ca-certificates.crt."""
    server_name: Text | None = None
    """The name or IP address that the model server's certificate must be for; if left out, the host in
    `upstream`, and `localhost` for a Unix socket."""
    certificate: Path | None = None
    """The certificate that pilotfish shows to the model server (mutual TLS), with those between, in PEM."""
    key: Path | None = None
    """Its private key in PEM, without a passphrase."""


def certificate_configuration(listener: ListenerTls | None, versions: Mapping[str, "Version"]) -> str:
    """JSON for ``pilotfish._core.Certificates``."""
    upstreams = {
        name: _upstream(version.tls, version.upstream) for name, version in versions.items() if version.tls
    }
    shown = None if listener is None else listener.model_dump(mode="json")
    return json.dumps({"listener": shown, "upstreams": upstreams})


def _upstream(tls: UpstreamTls, upstream: str) -> dict[str, Any]:
    name = tls.server_name
    if name is None:
        name = "localhost" if upstream.startswith("unix:") else address.split(upstream)[0].strip("[]")
    return tls.model_dump(mode="json") | {"server_name": name}
