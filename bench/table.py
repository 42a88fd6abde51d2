"""Tables, for a terminal or for Markdown: the first column is words, the others are numbers."""

from collections.abc import Sequence

Row = Sequence[str]


def drawn(head: Row, rows: Sequence[Row], markdown: bool) -> str:
    """The table as text, columns aligned."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    edge, between = ("|", " | ") if markdown else ("", "  ")
    lines = [f"{edge} {between.join(aligned(row, widths))} {edge}".strip() for row in (head, *rows)]
    rule = "|---|" + "---:|" * (len(head) - 1) if markdown else "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:]])


def aligned(row: Row, widths: Sequence[int]) -> list[str]:
    first, *others = row
    return [
        first.ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
    ]


def number(value: float) -> str:
    """No more figures than such a measurement is worth."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def ratio(value: float, reference: float | None) -> str:
    return f"{value / reference:.2f}x" if reference else "-"
