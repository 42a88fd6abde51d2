"""``pilotfish tune``: settings for the alarm, from history in which nothing was wrong."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from pilotfish.cli.backtest import Columns, Data, ModelVersion, Profile, names
from pilotfish.errors import ProfileError

EXAMPLES = (
    "\b\nExample:\n"
    "  pilotfish tune --profile model.profile --data a-good-month.parquet\n\n"
    "The tolerance is twice as far as the history strays from the profile by itself, in blocks of 2,000 and "
    "of 20,000 rows; the ARL is ten times its length, because it cannot vouch for more."
)
_SHOWN = 5


def tune(
    *,
    profile: Profile,
    data: Data,
    columns: Columns = None,
    model_version: ModelVersion = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the proposal as JSON.")] = False,
) -> None:
    """Propose the rows between false alarms (ARL) and the tolerance of the alarm, from clean history."""
    from pilotfish.backtest.tuning import HIGH_TOLERANCE, propose
    from pilotfish.profile import read

    try:
        proposal = propose(read(profile), data, names(columns), model_version)
    except ProfileError as exc:
        raise ProfileError(f"{profile}: {exc}") from exc
    for note in proposal.notes:
        typer.echo(f"{data}: {note}", err=True)
    if proposal.tolerance > HIGH_TOLERANCE:
        hides = f"a tolerance of {proposal.tolerance:g} nats hides large changes; is this history clean?"
        typer.echo(f"{data}: {hides} Look at it with pilotfish backtest", err=True)
    if as_json:
        typer.echo(json.dumps(asdict(proposal), ensure_ascii=False))
        return
    typer.echo(f"--arl {proposal.arl} --tolerance {proposal.tolerance:g}")
    typer.echo(f"from {proposal.rows:,} rows: ", nl=False)
    if not proposal.restless:
        typer.echo("no feature strayed from the profile by more than chance explains")
        return
    strayed = [f"{name} by {distance:.2g} nats" for name, distance in proposal.restless.items()]
    more = len(strayed) - _SHOWN
    typer.echo("strayed: " + ", ".join(strayed[:_SHOWN]) + (f" and {more} more" if more > 0 else ""))
