"""``pilotfish state show | merge``: the statistics that sidecars keep on disk."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pilotfish.errors import UsageError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Show and add up the statistics that sidecars keep on disk.",
)

_SHOW_EXAMPLES = "\b\nExample:\n  pilotfish state show state/pilotfish.state --profile model.profile"
_MERGE_EXAMPLES = (
    "\b\nExample:\n"
    "  pilotfish state merge a/pilotfish.state b/pilotfish.state --profile model.profile --out all.state\n"
    "  pilotfish state show all.state --profile model.profile\n\n"
    "Counts, windows and histograms are those of one sidecar that saw everything, in any order of the files. "
    "Files that were compared with different profiles are refused."
)

Profiles = Annotated[
    list[Path] | None,
    typer.Option("--profile", metavar="FILE", help="A profile the sidecars were given. May be repeated."),
]


@app.command(epilog=_SHOW_EXAMPLES)
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="State file.")],
    *,
    profiles: Profiles = None,
    features: Annotated[
        int, typer.Option(metavar="N", min=1, help="Features shown of each version; the most drifted first.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print the models as JSON.")] = False,
) -> None:
    """Show the models of a state file, as `status` does."""
    from pilotfish.statistics import state

    models = state.models(file, profiles or ())
    if as_json:
        typer.echo(json.dumps(models))
        return
    from pilotfish.cli import tables, terminal

    console = terminal.console()
    for held in terminal.visible(models):
        console.print(tables.model(held, features))


@app.command(epilog=_MERGE_EXAMPLES)
def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="State files.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="State file to write.")],
    profiles: Profiles = None,
) -> None:
    """Add up the state files of several sidecars, also merged ones: in any order the same, byte for byte."""
    from pilotfish import whole
    from pilotfish.statistics import state

    merged = state.merge(files, profiles or ())
    try:
        whole.write(out, merged)
    except OSError as exc:
        raise UsageError(f"{out}: cannot be written: {exc.strerror}; choose another --out") from exc
    typer.echo(f"{out}: {len(files)} files added up")
