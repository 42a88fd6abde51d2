"""``pilotfish profile build | learn | show``: the reference a model's traffic is compared with."""

import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from pilotfish.cli.run import Admin, Listen, Upstream
from pilotfish.errors import ProfileError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make and show profiles, the reference for drift.",
)

_BUILD_EXAMPLES = (
    "\b\nExamples:\n"
    "  pilotfish profile build --from train.parquet --out model.profile\n"
    "  pilotfish profile build --from train.csv --tensor x --outputs y --out y.profile\n\n"
    "With --tensor the columns are x[0], x[1], ... in the order given, one tensor of shape "
    "[rows, columns]; without it every column is a tensor of its own, named like the column."
)
_LEARN_EXAMPLES = (
    "\b\nExample:\n  pilotfish profile learn --upstream 127.0.0.1:8001 --out model.profile\n\n"
    "Point the clients at 127.0.0.1:9000; when enough calls have passed it writes the profile and ends."
)
_SHOW_EXAMPLES = "\b\nExample:\n  pilotfish profile show model.profile"


class Direction(str, Enum):
    """Which side of a call the columns are."""

    input = "input"
    output = "output"


@app.command(epilog=_BUILD_EXAMPLES)
def build(
    *,
    source: Annotated[
        Path, typer.Option("--from", metavar="FILE", help="Data: .csv with a header line, or .parquet.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Profile to write.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the model. [default: name of --out]")
    ] = None,
    bins: Annotated[int, typer.Option(min=2, max=64, help="Bins of a numeric feature.")] = 32,
    tensor: Annotated[
        str | None, typer.Option(metavar="NAME", help="The columns are the columns of this tensor, in order.")
    ] = None,
    direction: Annotated[
        Direction, typer.Option(help="Whether the columns are sent to the model or answered.")
    ] = Direction.input,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Columns to use, in this order. [default: all]")
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Columns the model answers, each a tensor of its own."),
    ] = None,
) -> None:
    """Build a profile from a data file, such as the training set. It may be larger than memory."""
    from pilotfish import profile, table
    from pilotfish.cli.build import Plan
    from pilotfish.cli.build import build as built

    chosen, answered = _names("columns", columns), _names("outputs", outputs)
    if chosen is not None:
        chosen += [name for name in answered or () if name not in chosen]
    data = table.read(source, chosen)
    for name in answered or ():
        if name not in data.kinds:
            raise UsageError(f"--outputs: got {outputs!r}: {source} has no column {name!r}; see its header")
    plan = Plan(model or out.stem, bins, direction.value, tensor, frozenset(answered or ()))
    profile.write(out, built(data, plan))
    typer.echo(f"{out}: {_summary(profile.check(out.read_bytes()))}")


@app.command(epilog=_LEARN_EXAMPLES)
def learn(
    *,
    upstream: Upstream = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Profile to write.")],
    calls: Annotated[int, typer.Option(metavar="N", min=10, help="Calls to learn from.")] = 2000,
    listen: Listen = None,
    admin: Admin = None,
) -> None:
    """Run in front of a model server, learn from the first calls, write the profile, end.

    The profile holds the first N rows; a call with a batch has several. Calls are forwarded all the while.
    """
    from pilotfish import settings

    flags = {"upstream": upstream, "listen": listen, "admin": admin, "calls": calls}
    loaded = settings.load(None, os.environ, flags)

    from pilotfish.learn import learn as learned

    rows = learned(loaded, calls, out)
    if not rows:
        raise ProfileError(f"stopped before {calls} calls had passed; nothing was written")
    typer.echo(f"{out}: learned from {rows} rows; use it with: pilotfish run --profile {out}")


@app.command(epilog=_SHOW_EXAMPLES)
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Profile to show.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything in it as JSON.")] = False,
) -> None:
    """Show what a profile holds."""
    from pilotfish import profile

    try:
        held = profile.check(profile.read(file))
    except ProfileError as exc:
        raise ProfileError(f"{file}: {exc}") from exc
    if as_json:
        import json

        typer.echo(json.dumps(held, indent=2))
        return
    from rich.console import Console

    console = Console()
    console.print(f"{file}: {_summary(held)}", soft_wrap=True, highlight=False, markup=False)
    console.print(_features(held))


def _names(option: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise UsageError(f"--{option}: got {text!r}: a name is empty or twice; write A,B,C")
    return names


def _summary(held: dict[str, Any]) -> str:
    count = len(held["features"])
    features = f"{count} feature{'s' if count != 1 else ''}"
    return f"{held['model']}, {features}, {held['rows']} rows, hash {held['hash']}"


def _features(held: dict[str, Any]) -> Any:
    from rich.table import Table

    shown = list(dict.fromkeys(key for feature in held["features"] for key in feature if key not in _LONG))
    table = Table(header_style="dim")
    for key in shown:
        table.add_column(key)
    for feature in held["features"]:
        table.add_row(*(_cell(feature.get(key)) for key in shown))
    return table


_LONG = frozenset({"edges", "counts", "labels", "bins", "autocorrelation_time"})
"""Parts of a feature that do not fit in a cell; --json has them."""


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
