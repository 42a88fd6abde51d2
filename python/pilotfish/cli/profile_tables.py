"""Profiles as tables for a terminal. Pure: plain data in, things `rich` can print out."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pilotfish.cli import terminal

_DISTANCES = (
    ("psi", "PSI"),
    ("jensen_shannon", "JS"),
    ("ks", "KS"),
    ("wasserstein_normalized", "W1 / sd"),
    ("hellinger", "Hellinger"),
)
"""Shown, with their heads; --json has all."""


def show(title: str, table: RenderableType) -> None:
    """Print a table below its title."""
    console = terminal.console()
    console.print(title, soft_wrap=True)
    console.print(table)


def features(held: Mapping[str, Any]) -> Table:
    """The features of a profile (``pilotfish.profile.check``)."""
    heads = ("rows", "missing", "min", "5 %", "50 %", "95 %", "max", "distinct", "tau")
    table = _table("feature", "side", "kind", *heads)
    for feature in held["features"]:
        quantiles = feature["quantiles"] or {}
        numbers = (
            feature["rows"],
            feature["missing"],
            feature["min"],
            *(quantiles.get(name) for name in ("p5", "p50", "p95")),
            feature["max"],
            feature["cardinality"],
            feature["autocorrelation_time"],
        )
        table.add_row(
            Text(terminal.visible(feature["name"])),
            feature["direction"],
            feature["kind"],
            *map(_cell, numbers),
        )
    return table


def differences(found: Sequence[Mapping[str, Any]]) -> Table:
    """Distances of the features of two profiles (``_core.diff_profiles``), furthest beyond chance first."""
    table = _table("feature", "side", *(head for _, head in _DISTANCES), "note")
    table.caption = "* beyond what one undrifted sample in a thousand reaches"
    for feature in sorted(found, key=_excess, reverse=True):
        distances = feature["distances"]
        cells = (_distance(distances.get(name)) for name, _ in _DISTANCES)
        table.add_row(
            Text(terminal.visible(feature["name"])), feature["direction"], *cells, feature["why_not"]
        )
    return table


def _excess(feature: Mapping[str, Any]) -> float:
    psi = feature["distances"].get("psi")
    if psi is None:
        return float("inf")
    return float(psi["value"] / psi["noise"]) if psi["noise"] else 0.0


def _distance(measured: Mapping[str, float | None] | None) -> str:
    if measured is None:
        return "-"
    value, noise = measured["value"], measured["noise"]
    assert value is not None
    mark = "*" if noise is not None and value > noise else " "
    return f"{value:.4g}{mark}"


def _table(*heads: str) -> Table:
    table = Table(header_style="dim", caption_justify="left")
    for position, head in enumerate(heads):
        table.add_column(
            head, justify="left" if head in _WORDS else "right", overflow="fold", no_wrap=position > 0
        )
    return table


_WORDS = frozenset({"feature", "side", "kind", "note"})


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
