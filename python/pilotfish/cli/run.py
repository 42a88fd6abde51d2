"""``pilotfish run``, ``check`` and ``schema``: the sidecar and its configuration."""

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

RUN_EXAMPLES = (
    "\b\nExamples:\n"
    "  pilotfish run --upstream 127.0.0.1:8001\n"
    "  pilotfish run --upstream model:8001 --listen 0.0.0.0:9000 --journal calls/\n"
    "  pilotfish run --config pilotfish.yaml\n\n"
    "Flags win over PILOTFISH_* variables, those over the file, the file over defaults. "
    "A variable is the path of a setting: PILOTFISH_MONITOR__PANE_ROWS=100."
)
CHECK_EXAMPLES = (
    "\b\nExample:\n  pilotfish check pilotfish.yaml\n\n"
    "Exit code 0: it can be run; 2: every problem is printed as file:line: setting: what is wrong; remedy."
)
SCHEMA_EXAMPLES = (
    "\b\nExample:\n  pilotfish schema > pilotfish.schema.json\n\n"
    "\b\nThen, in the first line of the file, for editors:\n"
    "  # yaml-language-server: $schema=pilotfish.schema.json"
)

Upstream = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where the model server listens; unix:/path works too."),
]
Listen = Annotated[
    str | None, typer.Option(metavar="ADDR", help="Where clients connect. [default: 127.0.0.1:9000]")
]
Admin = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR", help="Where health, metrics and the API are served. [default: 127.0.0.1:9901]"
    ),
]
Plane = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The data plane that forwards the calls. [default: native]"),
]


def run(
    *,
    upstream: Upstream = None,
    listen: Listen = None,
    admin: Admin = None,
    plane: Plane = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", envvar="PILOTFISH_CONFIG", help="Configuration file (YAML); see `check`."
        ),
    ] = None,
    last_good: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="PILOTFISH_LAST_GOOD",
            help="Start from this copy of the last good configuration when --config cannot be used.",
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Reference the traffic is compared with; see `profile build`."),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write sampled calls into this folder.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the statistics here, so that they survive a restart."),
    ] = None,
    otlp: Annotated[
        str | None,
        typer.Option(metavar="URL", help="OpenTelemetry receiver, such as http://127.0.0.1:4317."),
    ] = None,
) -> None:
    """Forward calls to a model server, and watch them.

    Needs no configuration file: with --upstream alone it forwards all calls,
    learns what is normal from the first 2000 rows and compares the rest with
    them. SIGTERM and Ctrl-C let the calls under way end first.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # asks to read what has not been read yet
    from pilotfish import settings

    flags = {
        "upstream": upstream,
        "listen": listen,
        "admin": admin,
        "plane": plane,
        "profile": profile,
        "journal": journal,
        "state": state,
        "otlp": otlp,
    }
    given = {name: _text(value) for name, value in flags.items()}
    source = settings.Source(config, os.environ, given, last_good)

    from pilotfish import app

    raise typer.Exit(app.run(source))


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Configuration file (YAML).")],
) -> None:
    """Check a configuration file and print what would be in force.

    Reads what `run --config FILE` would: the file, PILOTFISH_* variables and
    defaults, and the profiles they name.
    """
    import yaml

    from pilotfish import settings

    loaded = settings.load(file, os.environ, {})
    typer.echo(yaml.safe_dump(loaded.effective(), sort_keys=False, allow_unicode=True), nl=False)


def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    import json

    from pilotfish.settings import Settings

    typer.echo(json.dumps(Settings.model_json_schema(), indent=2))


def _text(value: str | Path | None) -> str | None:
    return None if value is None else str(value)
