"""``pilotfish status``: the numbers of a running sidecar, as its admin address gives them."""

import json
import os
import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Annotated, Any

import typer

from pilotfish.errors import AdminUnreachable

EXAMPLES = (
    "\b\nExamples:\n"
    "  pilotfish status\n"
    "  pilotfish status --admin 127.0.0.1:9901 --features 50\n"
    "  pilotfish status --json | jq .alarms"
)
DEFAULT_ADMIN = "127.0.0.1:9901"
_ANSWER_SECONDS = 5.0
_MAX_BYTES = 256 * 1024 * 1024

Admin = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR",
        help=f"Admin address of the sidecar. [default: PILOTFISH_ADMIN or {DEFAULT_ADMIN}]",
    ),
]


def status(
    *,
    admin: Admin = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the snapshot as JSON.")] = False,
    features: Annotated[
        int, typer.Option(metavar="N", min=1, help="Features shown of each version; the most drifted first.")
    ] = 10,
) -> None:
    """Show what a running sidecar has counted.

    Calls, shares of the versions planned and reached, shadows, drift of the
    features, alarms, connections, the configuration in force, and whether
    everything that came is accounted for.
    """
    address = _address(admin)
    body = fetch(address, "/api/v1/snapshot")
    if as_json:
        typer.echo(body.decode())
        return
    snapshot = _parsed(body)
    plane, configuration = (json.loads(fetch(address, f"/api/v1/{page}")) for page in ("plane", "config"))
    from pilotfish.cli import tables, terminal

    console = terminal.console()
    snapshot, plane, configuration = map(terminal.visible, (snapshot, plane, configuration))
    for part in tables.report(snapshot, plane, configuration, features):
        console.print(part)


def fetch(address: str, path: str) -> bytes:
    """GET a path from an admin address. Raises AdminUnreachable."""
    status, body = ask(address, "GET", path)
    if status != HTTPStatus.OK:
        raise AdminUnreachable(
            f"{address}: answered {status} to GET {path}; is this the admin address of pilotfish?"
        )
    return body


def ask(admin: str | None, method: str, path: str, seconds: float = _ANSWER_SECONDS) -> tuple[int, bytes]:
    """Status and body of an answer of the admin address, never through a proxy. Raises AdminUnreachable."""
    address = _address(admin)
    try:
        connection = _connection(address, seconds)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read(_MAX_BYTES)
        connection.close()
    except (OSError, HTTPException, ValueError) as exc:
        what = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
        raise AdminUnreachable(
            f"{address}: no answer ({what}); is `pilotfish run` running? Name its admin address with --admin"
        ) from exc
    return answer.status, body


def _address(admin: str | None) -> str:
    return admin or os.environ.get("PILOTFISH_ADMIN") or DEFAULT_ADMIN


def _connection(address: str, seconds: float) -> HTTPConnection:
    if not address.startswith("unix:"):
        return HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=seconds)
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(seconds)
    stream.connect(address.removeprefix("unix:"))
    connection = HTTPConnection("localhost")
    connection.sock = stream
    return connection


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        snapshot = json.loads(body)
    except ValueError as exc:
        raise AdminUnreachable("the answer is not JSON; is this the admin address of pilotfish?") from exc
    if not isinstance(snapshot, dict) or "calls" not in snapshot:
        raise AdminUnreachable("the answer is not a snapshot; is this the admin address of pilotfish?")
    return snapshot
