"""The doorkeeper: which requests reach the pages at all.

A page in a browser can make requests to this machine under a name its owner lets point here (DNS rebinding),
and read the answers. On a loopback address only names that are certainly ours are therefore answered. A page
can also send what it cannot read the answer of: whatever changes something is refused to pages. Bodies are
never read: nothing here takes one.
"""

import ipaddress
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from pilotfish.admin.pages import error

_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")


@dataclass(frozen=True)
class Doorkeeper:
    """ASGI middleware that refuses foreign hosts, changes that a web page asks for, and bodies."""

    application: ASGIApp
    host: str | None
    """Host the sidecar listens on when that is a loopback one; None lets every name in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http", "lifespan and web sockets are switched off"
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._foreign(headers.get("host", "")) or _page(scope["method"], headers) or _body(headers)
        if refusal is None:
            await self.application(scope, receive, send)
            return
        status, message = refusal
        answer = error(status, message)
        answer.headers["connection"] = "close"
        await answer(scope, receive, send)

    def _foreign(self, header: str) -> tuple[int, str] | None:
        if self.host is None or not header:
            return None
        name = host_name(header)
        if name == self.host.lower() or name in _LOCAL_NAMES or _is_address(name):
            return None
        return 403, f"host {header!r} is not this sidecar's; use {self.host} (a guard against DNS rebinding)"


def host_name(header: str) -> str:
    """Host of a Host header, lower-case, without port and brackets."""
    if header.startswith("["):
        name, _, rest = header[1:].partition("]")
        return (header if rest.strip(":0123456789") else name).lower()
    return header.rpartition(":")[0].lower() if header.count(":") == 1 else header.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _page(method: str, headers: dict[str, str]) -> tuple[int, str] | None:
    if method in ("GET", "HEAD") or "origin" not in headers:
        return None
    return 403, "the request comes from a web page, which may change nothing here; use pilotfish or curl"


def _body(headers: dict[str, str]) -> tuple[int, str] | None:
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None
    return 413, "the request has a body; nothing here takes one"
