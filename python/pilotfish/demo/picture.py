"""The live picture of the running demo: where the story is, the numbers, the drift, the news."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pilotfish.demo import pixels
from pilotfish.demo.configuration import ARL, PSI_FAR
from pilotfish.demo.lens import Images, Lens
from pilotfish.demo.news import Item, newest, news
from pilotfish.demo.story import STORY, WATCHED
from pilotfish.demo.view import Latency, View, milliseconds

BAR_CELLS = 24
LINES_TAKEN = 16
"""By everything but the drifts and the news, which share the others."""
LEAST_LINES = 8
MOST_LINES = 16


class Picture:
    """The live picture."""

    def __init__(self, console: Console, picture: Images) -> None:
        self._picture = picture
        self._began = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._live.start()

    def show(self, view: View) -> None:
        """Draw everything anew."""
        elapsed, height = time.monotonic() - self._began, self._live.console.height
        self._live.update(draw(view, self._picture, elapsed, height), refresh=True)

    def close(self) -> None:
        """Stop drawing; the last picture stays."""
        self._live.stop()


def draw(view: View, picture: Images, elapsed: float, height: int) -> RenderableType:
    """The whole picture, for a terminal of ``height`` lines."""
    numbers = Table.grid(padding=(0, 3))
    numbers.add_row(
        Group(_calls(view), Text(), _versions(view)),
        _titled("camera", pixels.camera(_seen(view, picture))),
        _titled("drift per pixel", pixels.heat(view.pixel_scores())),
    )
    lines = min(MOST_LINES, max(LEAST_LINES, height - LINES_TAKEN))
    return Group(
        _title(view, elapsed), numbers, _drifts(view, lines // 2), Text(), _news(view, lines - lines // 2)
    )


def _title(view: View, elapsed: float) -> Text:
    now = len(view.changes) - 1
    text = Text("pilotfish demo ", style="bold cyan")
    text.append(f" {int(elapsed) // 60}:{int(elapsed) % 60:02}  ", style="dim")
    for number, phase in enumerate(STORY):
        text.append(" → " if number else "", style="dim")
        text.append(phase.name, style="bold reverse" if number == now else "" if number < now else "dim")
    return text


def _calls(view: View) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(
        "calls", f"{view.calls:,}", f"[bold]{view.calls_per_second:,.0f}[/] per second", _errors(view)
    )
    table.add_row("direct", *_milliseconds(view.direct), "[dim]client → model[/]")
    table.add_row("through", *_milliseconds(view.through), "[dim]client → pilotfish → model[/]")
    table.add_row("[bold]added[/]", *_milliseconds(view.added), "")
    return table


def _errors(view: View) -> str:
    return f"[red]{view.errors} failed[/]" if view.errors else "[dim]none failed[/]"


def _milliseconds(latency: Latency | None) -> tuple[str, str]:
    if latency is None:
        return "p50 …", "p99 …"
    return f"p50 {milliseconds(latency.p50):>8}", f"p99 {milliseconds(latency.p99):>8}"


def _versions(view: View) -> Table:
    table = Table.grid(padding=(0, 2))
    for share in view.shares:
        reached = f"[bold]{share.reached:6.1%}[/] of calls"
        table.add_row(share.version, share.role, f"planned {share.planned:5.1%}", f"reached {reached}")
    if view.shadow is not None:
        table.add_row(
            view.shadow.version, "shadow", f"{view.shadow.compared:,} compared", _disagreement(view)
        )
    table.add_row("", "sticky", f"{view.users:,} users", f"{view.moved} changed version")
    table.add_row("", "accuracy", f"{view.accuracy or 0:.1%}", "[dim]only the client knows[/]")
    return table


def _disagreement(view: View) -> str:
    share = view.shadow.disagreement if view.shadow else None
    return "" if share is None else f"[bold]{share:.1%}[/] disagree"


def _titled(title: str, body: RenderableType) -> Group:
    return Group(Text(title, style="dim"), body)


def _seen(view: View, picture: Images) -> Images:
    lens = view.changes[-1].phase.lens if view.changes else Lens()
    return lens.see(picture)


def _drifts(view: View, lines: int) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    title = f"drift of {WATCHED} from its profile [dim](psi; at most one false alarm in {ARL:,} images)[/]"
    for drift in view.worst(lines):
        style = "bold red" if drift.alarmed else "yellow" if drift.score > PSI_FAR else "green"
        cells = min(BAR_CELLS, round(drift.score / (5 * PSI_FAR) * BAR_CELLS))
        bar = "█" * max(1, cells)
        alarmed = "[bold red]alarm[/]" if drift.alarmed else ""
        table.add_row(drift.feature, f"{drift.score:6.3f}", f"[{style}]{bar:<{BAR_CELLS}}[/]", alarmed)
    body = table if view.drifts else Text("the first pane is not full yet", style="dim")
    return Group(Text.from_markup(title), body)


def _news(view: View, lines: int) -> RenderableType:
    items = newest(news(view.alarms, view.changes), lines)
    if not items:
        return Text("alarms: none so far", style="dim")
    return Group(
        Text.from_markup(f"alarms: {view.active_alarms} active [dim](calls are counted per version)[/]"),
        *(_item(item) for item in items),
    )


def _item(item: Item) -> Text:
    style = "bold red" if item.expected else "red" if item.raised else "green"
    return Text(item.text, style=style, no_wrap=True, overflow="ellipsis")
