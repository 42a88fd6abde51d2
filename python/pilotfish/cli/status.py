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


def status(
    *,
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help=f"Admin address of the sidecar. [default: PILOTFISH_ADMIN or {DEFAULT_ADMIN}]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the snapshot as JSON.")] = False,
    features: Annotated[
        int, typer.Option(metavar="N", min=1, help="Features shown of each version; the most drifted first.")
    ] = 10,
) -> None:
    """Show what a running sidecar has counted.

    Calls, shares of the versions planned and reached, shadows, drift of the
    features, alarms, and whether everything that came is accounted for.
    """
    body = fetch(admin or os.environ.get("PILOTFISH_ADMIN") or DEFAULT_ADMIN, "/api/v1/snapshot")
    if as_json:
        typer.echo(body.decode())
        return
    from rich.console import Console

    from pilotfish.cli import tables

    console = Console()
    for part in tables.report(_parsed(body), features):
        console.print(part)


def fetch(address: str, path: str) -> bytes:
    """GET a path from an admin address, never through a proxy. Raises AdminUnreachable."""
    try:
        connection = _connection(address)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_MAX_BYTES)
        connection.close()
    except (OSError, HTTPException, ValueError) as exc:
        what = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
        raise AdminUnreachable(
            f"{address}: no answer ({what}); is `pilotfish run` running? Name its admin address with --admin"
        ) from exc
    if answer.status != HTTPStatus.OK:
        raise AdminUnreachable(
            f"{address}: answered {answer.status} to GET {path}; is this the admin address of pilotfish?"
        )
    return body


def _connection(address: str) -> HTTPConnection:
    if not address.startswith("unix:"):
        return HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=_ANSWER_SECONDS)
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(_ANSWER_SECONDS)
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
