"""``pilotfish profile build | learn | merge | show | diff``: the reference for drift."""

import os
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotfish.cli.run import Admin, Listen, Upstream
from pilotfish.errors import ProfileError, UsageError

if TYPE_CHECKING:
    from pilotfish.statistics.sections import Labelled

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make, merge, show and compare profiles, the reference for drift.",
)

_BUILD_EXAMPLES = (
    "\b\nExamples:\n"
    "  pilotfish profile build --from train.parquet --out model.profile\n"
    "  pilotfish profile build --from train.csv --tensor x --outputs y --out y.profile\n"
    "  pilotfish profile build --from scored.csv --tensor x --joint --scores p --labels y --out y.profile\n"
    "  pilotfish profile build --from vectors.npy --tensor e --embedding --out e.profile\n"
    "  pilotfish profile build --from part2.parquet --edges-from part1.profile --out part2.profile\n\n"
    "With --tensor the columns are x[0], x[1], ... in the order given, one tensor of shape "
    "[rows, columns]; without it every column is a tensor of its own, named like the column."
)
_LEARN_EXAMPLES = (
    "\b\nExample:\n  pilotfish profile learn --upstream 127.0.0.1:8001 --out model.profile\n\n"
    "Point the clients at 127.0.0.1:9000; when enough calls have passed it writes the profile and ends."
)
_MERGE_EXAMPLES = (
    "\b\nExamples:\n"
    "  pilotfish profile build --from monday.csv --out monday.profile --model churn\n"
    "  pilotfish profile build --from tuesday.csv --edges-from monday.profile --out tuesday.profile\n"
    "  pilotfish profile merge monday.profile tuesday.profile --out churn.profile\n\n"
    "The parts may be built anywhere and merged in any order: the result is the same, byte for byte."
)
_SHOW_EXAMPLES = "\b\nExample:\n  pilotfish profile show model.profile"
_DIFF_EXAMPLES = (
    "\b\nExample:\n"
    "  pilotfish profile build --from today.csv --edges-from model.profile --out today.profile\n"
    "  pilotfish profile diff model.profile today.profile\n\n"
    "A distance that undrifted rows exceed once in a thousand times is marked with *: with so few rows, or "
    "without a change, none should be."
)


_NOTES = 12


class Direction(str, Enum):
    """Which side of a call the columns are."""

    input = "input"
    output = "output"


@app.command(epilog=_BUILD_EXAMPLES)
def build(
    *,
    source: Annotated[
        Path,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Data: .csv or .tsv with a header line (or .csv.gz), .parquet, .arrow, .npy.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Profile to write.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Use it only for the model of this name. [default: for any]"),
    ] = None,
    bins: Annotated[
        int, typer.Option(min=2, max=64, help="Bins of a numeric feature, where --edges-from gives none.")
    ] = 32,
    tensor: Annotated[
        str | None, typer.Option(metavar="NAME", help="The columns are the columns of this tensor, in order.")
    ] = None,
    direction: Annotated[
        Direction, typer.Option(help="Whether the columns are sent to the model or answered.")
    ] = Direction.input,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Columns to use, in this order. [default: all]")
    ] = None,
    without: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Columns to leave out, such as ids and times.")
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Columns the model answers, each a tensor of its own."),
    ] = None,
    edges_from: Annotated[
        Path | None,
        typer.Option(
            metavar="PROFILE", help="Use its bins and model, to merge what is built with other parts."
        ),
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Column of the score of the positive class, or one per class; with --labels.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of what turned out to be true: 0 and 1, or class numbers."),
    ] = None,
    label_age: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=0, help="How old the labels were when they were read."),
    ] = None,
    scores_tensor: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Output that holds the scores. [default: name of the one column]"),
    ] = None,
    joint: Annotated[
        bool, typer.Option("--joint", help="Learn how the columns of --tensor go together, too.")
    ] = False,
    embedding: Annotated[
        bool,
        typer.Option(
            "--embedding", help="Learn how they go together, and not each: --tensor is of kind embedding."
        ),
    ] = False,
) -> None:
    """Build a profile from a data file, such as the training set. It may be larger than memory."""
    from pilotfish import profile, table
    from pilotfish.statistics import sections
    from pilotfish.statistics.features import Plan, categories
    from pilotfish.statistics.features import build as built

    chosen, answered = _names("columns", columns), _names("outputs", outputs) or []
    labelled = _labelled(scores, labels, label_age, scores_tensor)
    if joint and embedding:
        raise UsageError(
            "--joint and --embedding: an embedding's columns are not watched one by one; give one"
        )
    together = joint or embedding
    if together and (tensor is None or direction is not Direction.input):
        option = "--joint" if joint else "--embedding"
        raise UsageError(f"{option}: is for the columns of an input; name it with --tensor")
    scored = [] if labelled is None else list(labelled.scores.columns)
    left_out = frozenset(_names("without", without) or ())
    if labelled is not None:
        left_out |= {labelled.labels}
    if chosen is not None:
        chosen += [name for name in dict.fromkeys([*answered, *scored]) if name not in chosen]
    edges = None if edges_from is None else _checked(edges_from)[0]
    known_scores = None if labelled is None else labelled.scores
    plan = Plan(model or "", bins, direction.value, tensor, frozenset(answered), edges, known_scores)
    data = table.read(source, chosen, without=left_out)
    if texts := categories(list(data.kinds), plan):
        data = table.read(source, chosen, texts, left_out)
    for note in _shortened(data.notes):
        typer.echo(f"{source}: {note}", err=True)
    for name in answered:
        if name not in data.kinds:
            raise UsageError(f"--outputs: got {outputs!r}: {source} has no column {name!r}; see its header")
    ordered = table.Ordered(data)
    try:
        made = built(ordered, plan)
    except ProfileError as exc:
        raise ProfileError(f"{source}: {exc}") from exc
    for note in _shortened(list(ordered.order())):
        typer.echo(f"{source}: {note}", err=True)
    if together and tensor is not None:
        main = [name for name in data.kinds if name not in {*answered, *scored}]
        made = sections.with_joint(made, table.read(source, main), tensor, embedding=embedding)
    if labelled is not None:
        made = sections.with_scores(made, table.read(source, [*scored, labelled.labels]), labelled)
    held = profile.check(made, detail=True)
    if edges is None:
        for note in _shortened(list(profile.beyond_bins(held["features"]))):
            typer.echo(f"{source}: {note}", err=True)
    profile.write(out, made)
    typer.echo(f"{out}: {_summary(held)}")


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
    source = settings.Source(None, os.environ, flags)

    from pilotfish.learn import learn as learned

    rows = learned(source, calls, out)
    if not rows:
        raise ProfileError(f"stopped before {calls} calls had passed; nothing was written")
    typer.echo(f"{out}: learned from {rows} rows; use it with: pilotfish run --profile {out}")


@app.command(epilog=_MERGE_EXAMPLES)
def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Profiles of parts of the data.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Profile to write.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the model. [default: that of the parts]")
    ] = None,
) -> None:
    """Add up profiles of parts of the data that were built on the same edges (--edges-from)."""
    from pilotfish import profile
    from pilotfish.statistics.profile import Profile

    parts = [Profile.load(file) for file in files]
    if model is not None:
        parts = [part.renamed(model) for part in parts]
    merged = parts[0].merge(*parts[1:]).to_bytes()
    profile.write(out, merged)
    typer.echo(f"{out}: {_summary(profile.check(merged))}")


@app.command(epilog=_SHOW_EXAMPLES)
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Profile to show.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything in it as JSON.")] = False,
) -> None:
    """Show what a profile holds."""
    _, held = _checked(file, detail=as_json)
    if as_json:
        _print_json(held)
        return
    from pilotfish.cli import profile_tables

    profile_tables.show(f"{file}: {_summary(held)}", profile_tables.features(held))


@app.command(epilog=_DIFF_EXAMPLES)
def diff(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Profile to compare with.")],
    current: Annotated[Path, typer.Argument(metavar="CURRENT", help="Profile on the same edges.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all distances as JSON.")] = False,
) -> None:
    """Show how far each feature of one profile lies from another, beside what chance alone would do."""
    from pilotfish import _core

    (first, was), (second, now) = _checked(reference), _checked(current)
    found = _core.Profile(first).diff(_core.Profile(second))
    if as_json:
        _print_json(found)
        return
    from pilotfish.cli import profile_tables

    title = f"{current} ({now['rows']} rows) from {reference} ({was['rows']} rows)"
    profile_tables.show(title, profile_tables.differences(found))


def _shortened(notes: Sequence[str]) -> list[str]:
    """Notes as a person reads them, not all of very many."""
    more = len(notes) - _NOTES
    return [*notes[:_NOTES], *([f"and {more} more columns like these"] if more > 0 else [])]


def _checked(file: Path, detail: bool = False) -> tuple[bytes, dict[str, Any]]:
    """A profile file, and what it holds. Raises ProfileError, which names the file."""
    from pilotfish import profile

    try:
        data = profile.read(file)
        return data, profile.check(data, detail)
    except ProfileError as exc:
        raise ProfileError(f"{file}: {exc}") from exc


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2))


def _labelled(
    scores: str | None, labels: str | None, label_age: int | None, tensor: str | None
) -> "Labelled | None":
    from pilotfish.statistics.features import Scores
    from pilotfish.statistics.sections import Labelled

    columns = _names("scores", scores)
    if columns is None and labels is None:
        if label_age is not None or tensor is not None:
            raise UsageError("--label-age and --scores-tensor: belong to --scores and --labels")
        return None
    if columns is None or labels is None:
        raise UsageError("--scores and --labels: each needs the other: which score was right?")
    if labels in columns:
        raise UsageError(f"--labels: {labels!r} is one of --scores; name the column of what turned out true")
    if tensor is None and len(columns) > 1:
        raise UsageError("--scores: several columns are one output: name it with --scores-tensor")
    return Labelled(Scores(tensor or columns[0], tuple(columns)), labels, label_age)


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
    model = held["model"] or "any model"
    return f"{model}, {features}, {held['rows']} rows, hash {held['hash']}"
