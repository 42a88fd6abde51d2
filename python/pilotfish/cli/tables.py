"""A snapshot as tables for a terminal. Pure: plain data in, things `rich` can print out.

What matters most comes first: alarms, then how far each version has drifted, then whether the planned shares
are reached; the accounting comes last, because it is only read when something else looks wrong.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

Snapshot: TypeAlias = dict[str, Any]

_PPM = 1_000_000
_DISTANCES = ("psi", "jensen_shannon", "ks")


def report(
    snapshot: Snapshot, plane: Mapping[str, Any], configuration: Mapping[str, Any], features: int
) -> Iterator[RenderableType]:
    """Everything worth showing of a sidecar; at most ``features`` features of each version."""
    yield _headline(snapshot)
    yield from _alarmed(snapshot, features)
    yield _calls(snapshot)
    yield from map(_unfitting, snapshot.get("unfitting", ()))
    yield _routes(snapshot)
    if snapshot["shadows"]:
        yield _shadows(snapshot)
    for held in snapshot["models"]:
        yield model(held, features)
    yield _connections(plane)
    yield _configuration(configuration)
    yield _accounting(snapshot)


def mean(histogram: Snapshot) -> str:
    """The exact mean of a histogram of durations."""
    return seconds(histogram["sum"] / histogram["count"] if histogram["count"] else None)


def bound(histogram: Snapshot, share: float) -> str:
    """What this share of the durations does not exceed: the edge of its bucket, or the largest value."""
    if not histogram["count"]:
        return "-"
    seen = 0
    for edge, count in zip(histogram["bounds"], histogram["counts"], strict=False):
        seen += count
        if seen >= share * histogram["count"] and edge < histogram["max"]:
            return f"≤ {seconds(edge)}"
    return f"≤ {seconds(histogram['max'])}"


def seconds(value: float | None) -> str:
    """A duration with three digits at most and a readable unit."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def _headline(snapshot: Snapshot) -> Text:
    active = snapshot["alarms"]["active"]
    text = Text(f"pilotfish {snapshot['version']}, {snapshot['plane']} plane, up {_uptime(snapshot)}: ")
    text.append(_alarms(active), style="bold red" if active else "green")
    return text


def _alarmed(snapshot: Snapshot, most: int) -> Iterator[Text]:
    """The alarms as lines, since the tables are cut where the terminal is narrow; the strongest first."""
    found = [
        (held, feature) for held in snapshot["models"] for feature in held["features"] if feature["alarm"]
    ]
    found.sort(key=lambda item: _urgency(item[1]), reverse=True)
    for held, feature in found[:most]:
        where = f"{held['model']} {held['version']}: {feature['direction']} {feature['name']}"
        yield Text(f"ALARM {where}: {_alarm(feature['alarm'])}", style="bold red")
    if len(found) > most:
        yield Text(f"and {len(found) - most} more alarms (--features N)")


def _unfitting(found: Snapshot) -> Text:
    what = f"{found['model']} {found['version']}: the profile is of {found['profile_of']!r}, and is not used"
    return Text(what, style="bold red")


def _connections(plane: Mapping[str, Any]) -> Text:
    upstreams, counters = dict(plane["upstreams"]), dict(plane["counters"])
    text = Text("Model servers: ")
    for name, state in upstreams.items():
        style = "bold red" if state == "unreachable" else ""
        text.append(f"{name} {state}", style=style).append("; ")
    if not counters:
        return text.append("connections are not counted on this plane")
    text.append(f"{counters.pop('connections_open')} client connections")
    accepted = counters.pop("connections_accepted")
    usual = ("calls_open", "upstream_connected", "clients_waited_for", "upstreams_waited_for")
    odd = {name.replace("_", " "): count for name, count in counters.items() if count and name not in usual}
    return text.append(f" of {accepted} since the start" + "".join(f"; {k} {n}" for k, n in odd.items()))


def _configuration(configuration: Mapping[str, Any]) -> Text:
    reloads, last = configuration["reloads"], configuration["last_reload"]
    rejected = sum(reloads["rejected"].values())
    text = Text(f"Configuration: generation {configuration['generation']}, ")
    text.append(f"{reloads['applied']} reloads, {rejected} rejected")
    if last is not None and not last["applied"]:
        text.append("; the last was rejected:\n" + "\n".join(last["problems"]), style="bold red")
    return text


def _uptime(snapshot: Snapshot) -> str:
    minutes, second = divmod(int(snapshot["uptime_seconds"]), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def _alarms(active: int) -> str:
    if not active:
        return "no alarm"
    return f"{active} alarm{'s' if active > 1 else ''}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def _calls(snapshot: Snapshot) -> Table:
    calls = snapshot["calls"]
    overhead = calls["overhead"]
    added = f"{mean(overhead)} on average, {bound(overhead, 0.99)} for 99 %"
    title = f"Calls: {calls['total']}, {calls['active']} under way; pilotfish added {added}"
    table = _table(title, "method", "version", "role", "status", "calls", "mean", "99 %", "max")
    for series in calls["series"]:
        duration = series["duration"]
        table.add_row(
            series["method"],
            series["version"],
            series["role"],
            Text(series["code"], style="" if series["code"] == "OK" else "red"),
            str(series["count"]),
            mean(duration),
            bound(duration, 0.99),
            seconds(duration["max"] if duration["count"] else None),
        )
    return table


def _routes(snapshot: Snapshot) -> Table:
    table = _table("Routes", "route", "version", "role", "calls", "planned", "reached")
    for route in snapshot["routes"]:
        for version in route["versions"]:
            reached = version["share"]
            table.add_row(
                route["name"],
                version["version"],
                version["role"],
                str(version["calls"]),
                f"{version['weight_ppm'] / _PPM:.2%}",
                "-" if reached is None else f"{reached:.2%}",
            )
    return table


def _shadows(snapshot: Snapshot) -> Table:
    table = _table(
        "Shadows",
        "route",
        "version",
        "answered",
        "failed",
        "late",
        "dropped",
        "equal",
        "different",
        "unreadable",
    )
    for shadow in snapshot["shadows"]:
        different = shadow["mismatch"] + shadow.get("status_mismatch", 0)
        table.add_row(
            shadow["route"],
            shadow["version"],
            *(str(shadow[key]) for key in ("ok", "error", "timeout", "dropped", "match")),
            str(different),
            str(shadow["undecodable"]),
        )
    return table


def model(held: Snapshot, features: int) -> Table:
    """One version: at most so many features, the most drifted first."""
    shown = sorted(held["features"], key=_urgency, reverse=True)[:features]
    more = len(held["features"]) - len(shown)
    name = f"{held['model']} {held['version']}"
    title = f"{name}: {held['state']}, {held['rows']} rows in {held['calls']} calls{_accuracy(held)}"
    windows = list(dict.fromkeys(window["window"] for feature in shown for window in feature["windows"]))
    columns = ["feature", "", "mean", "missing", "bits", "psi", "JS", "KS"]
    table = _table(title, *columns, *(f"psi {window}" for window in windows), "alarm")
    for feature in shown:
        drift = feature["drift"] or {}
        alarm = feature["alarm"]
        table.add_row(
            feature["name"],
            feature["direction"],
            _number(feature["mean"]),
            str(feature["missing"]),
            _number((feature.get("evidence") or {}).get("bits")),
            *(_number(drift.get(name)) for name in _DISTANCES),
            *(_window(feature, window) for window in windows),
            Text(_alarm(alarm), style="bold red") if alarm else "",
        )
    captions = [f"and {more} more features (--features N)"] if more > 0 else []
    if held["unwatched"]:
        captions.append(f"{held['unwatched']} tensors not watched: see monitor.max_features")
    table.caption = "; ".join(captions) or None
    return table


def _accuracy(model: Snapshot) -> str:
    """What the scores promise, beside what was realised on the reference."""
    found = model.get("performance") or {"estimated": {"accuracy": None}}
    estimated = found["estimated"]["accuracy"]
    if estimated is None:
        return ""
    noise, reference = found["estimated"]["accuracy_noise"], found["reference"]["accuracy"]
    return f", accuracy by its scores {estimated:.1%} ± {2 * noise:.1%} (reference {reference:.1%})"


def _window(feature: Snapshot, name: str) -> Text:
    """PSI of a window; bold when it is more than chance explains."""
    window = next((window for window in feature["windows"] if window["window"] == name), None)
    if window is None:
        return Text("-")
    return Text(_number(window["psi"]), style="bold" if window["psi"] > window["psi_noise"] else "")


def _alarm(alarm: Snapshot) -> str:
    what = alarm.get("shape") or f"{alarm['method']} > {alarm['threshold']:g}"
    return f"{what} since row {alarm['since_row']}"


def _urgency(feature: Snapshot) -> tuple[bool, float, float]:
    drift, evidence = feature["drift"] or {}, feature.get("evidence") or {}
    return feature["alarm"] is not None, evidence.get("bits") or 0.0, drift.get("psi") or 0.0


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _accounting(snapshot: Snapshot) -> Table:
    journal, statistics = snapshot["journal"], snapshot["statistics"]
    table = _table("Accounting", "", "came", "went on", "left out", "waiting", "dropped", "why")
    table.add_row(
        "journal",
        str(journal["observed"]),
        str(journal["kept"]),
        str(journal["sampled_out"]),
        str(journal["queued"]),
        str(sum(journal["dropped"].values())),
        _reasons(journal["dropped"]),
    )
    table.add_row(
        "statistics",
        str(statistics["offered"]),
        str(statistics["decoded"]),
        str(statistics["thinned"] + sum(statistics["unreadable"].values())),
        str(statistics["queued"]),
        str(sum(statistics["dropped"].values())),
        _reasons({"thinned": statistics["thinned"], **statistics["unreadable"], **statistics["dropped"]}),
    )
    return table


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)
