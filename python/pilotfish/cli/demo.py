"""``pilotfish demo``: a real model, a lens that gets dirty, an alarm that says which feature."""

from pathlib import Path
from typing import Annotated

import typer

from pilotfish.errors import UsageError

EXAMPLES = (
    "\b\nExamples:\n  pilotfish demo\n  pilotfish demo --for 60s\n\nNeeds: pip install 'pilotfish[demo]'"
)


def demo(
    *,
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="End after this time, such as 60s; else with Ctrl-C."),
    ] = None,
    plane: Annotated[
        str | None, typer.Option(metavar="NAME", help="The data plane to show. [default: native]")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep configuration, profiles, journal and logs in this folder."),
    ] = None,
) -> None:
    """Show all of it at work on a real model.

    Two versions, a shadow, an input that drifts, the alarm that says so.
    Trains small models on handwritten digits, serves them, and calls them
    with tritonclient through pilotfish. Needs no network. With --for the exit
    code is 0 only if the alarms came after the change and none before.
    """
    seconds = None if duration is None else _seconds(duration)
    if plane is not None:
        _check_plane(plane)
    from pilotfish import demo as stage

    raise typer.Exit(stage.run(seconds, keep))


def _seconds(text: str) -> float:
    from pilotfish.settings.units import seconds

    try:
        value = seconds(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as exc:
        raise UsageError(f"--for: got {text!r}: {exc}") from exc
    if value <= 0:
        raise UsageError(f"--for: got {text!r}: is not above 0; write 60s")
    return value


def _check_plane(name: str) -> None:
    from pilotfish.settings.conflicts import PLANES

    if name not in PLANES:
        raise UsageError(
            f"--plane: got {name!r}: is not in this version of pilotfish; use {' or '.join(PLANES)}"
        )
