"""``pilotfish health``, ``reload`` and ``drain``: what a probe, a person or a hook asks of a running sidecar.

They exist so that a container without a shell and without curl can be probed and stopped in order.
"""

import json
from typing import Annotated, Any

import typer

from pilotfish.cli.status import Admin, ask
from pilotfish.errors import PilotfishError

HEALTH_EXAMPLES = (
    "\b\nExamples:\n"
    "  pilotfish health\n"
    "  pilotfish health --live --admin 127.0.0.1:9901\n\n"
    "\b\nAs a probe of Kubernetes:\n"
    "  readinessProbe: {exec: {command: [pilotfish, health]}}\n\n"
    "Exit code 0: calls are welcome (with --live: it works); 1: not, or nobody answers."
)
RELOAD_EXAMPLES = (
    "\b\nExample:\n  pilotfish reload\n\n"
    "Exit code 0: what the file says is in force; 1: it cannot be used, and what was in force stays."
)
DRAIN_EXAMPLES = (
    "\b\nExample:\n  pilotfish drain\n\n"
    "\b\nAs a hook of Kubernetes:\n"
    "  lifecycle: {preStop: {exec: {command: [pilotfish, drain]}}}"
)
_DRAIN_SECONDS = 610.0
_RELOAD_SECONDS = 60.0


def health(
    *,
    admin: Admin = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask whether the sidecar works, not whether calls are welcome.")
    ] = False,
) -> None:
    """Say whether a running sidecar may be sent calls, for probes.

    The model's health is its own to report: an unreachable model is shown,
    and changes nothing.
    """
    status, verdict = _answer(admin, "GET", "/healthz" if live else "/readyz", 5.0)
    upstreams = ", ".join(f"{name} {state}" for name, state in verdict["upstreams"].items())
    typer.echo(f"{verdict['status']}: {'; '.join(verdict['reasons']) or upstreams or 'no upstreams'}")
    raise typer.Exit(0 if status == 200 else 1)


def reload(*, admin: Admin = None) -> None:
    """Let a running sidecar read its configuration again.

    Calls under way are not disturbed. What cannot be used is refused as a
    whole, with every problem named.
    """
    status, report = _answer(admin, "POST", "/api/v1/config/reload", _RELOAD_SECONDS)
    if status not in (200, 422):
        raise PilotfishError(report["error"]["message"])
    if status == 422:
        raise PilotfishError("\n".join(report["last_reload"]["problems"]))
    typer.echo(f"generation {report['generation']} is in force")


def drain(*, admin: Admin = None) -> None:
    """Let a running sidecar take no new calls, and wait until those under way have ended.

    It then waits for SIGTERM. Takes at most as long as the setting `drain`.
    """
    _answer(admin, "POST", "/drain", _DRAIN_SECONDS)
    typer.echo("drained")


def _answer(admin: str | None, method: str, path: str, seconds: float) -> tuple[int, dict[str, Any]]:
    status, body = ask(admin, method, path, seconds)
    answer = json.loads(body)
    assert isinstance(answer, dict)
    return status, answer
