"""Snapshot of the core -> families of series. Pure: no clock, no OpenTelemetry.

The core counts everything since its start, so every value here is cumulative or a present state.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pilotfish.telemetry import names
from pilotfish.telemetry.features import read_models
from pilotfish.telemetry.histogram import Exponential, Histogram
from pilotfish.telemetry.series import AttributeValue, Collection
from pilotfish.telemetry.upstreams import Upstreams

_SHADOW_OUTCOMES = ("ok", "error", "timeout", "dropped")
_COMPARISONS = ("match", "mismatch", "undecodable", "status_mismatch")


def joined(pieces: Sequence[bytes]) -> dict[str, Any]:
    """The snapshot of ``Engine.snapshot_pieces``; other threads may run between two pieces."""
    first, *others = pieces
    snapshot: dict[str, Any] = json.loads(first)
    for piece in map(json.loads, others):
        snapshot["models"][piece["model"]]["features"].extend(piece["features"])
    return snapshot


def read(snapshot: Mapping[str, Any]) -> Collection:
    """Everything a snapshot says.

    Without detail it holds no exponential histograms, and so neither does the result.
    """
    into = Collection()
    upstreams = Upstreams({version["version"]: version["upstream"] for version in snapshot["versions"]})
    _calls(snapshot["calls"], upstreams, into)
    for route in snapshot["routes"]:
        _route(route, into)
    for shadow in snapshot["shadows"]:
        _shadow(shadow, into)
    _journal(snapshot["journal"], into)
    _statistics(snapshot["statistics"], into)
    _state(snapshot["state"], into)
    read_models(snapshot["models"], into)
    into.add("pilotfish.drift.alerts", snapshot["alarms"]["raised"], {names.ALERT_STATE: "raised"})
    into.add("pilotfish.drift.alerts", snapshot["alarms"]["cleared"], {names.ALERT_STATE: "cleared"})
    into.add("pilotfish.telemetry.overflows", snapshot["series_overflow"], {names.STREAM: "engine"})
    into.add("pilotfish.config.generation", snapshot["generation"])
    return into


def read_certificates(states: Sequence[Mapping[str, Any]], now: float, into: Collection) -> None:
    """How the certificates stand; ``now`` is seconds since 1970 of wall time."""
    for state in states:
        of = {names.CERTIFICATE_SIDE: "listener" if state["version"] is None else "upstream"}
        if state["version"] is not None:
            of[names.VERSION] = state["version"]
        if state["not_after"] is not None:
            into.add("pilotfish.certificate.remaining", state["not_after"] - now, of)
        for outcome in ("renewed", "refused"):
            into.add("pilotfish.certificate.renewals", state[outcome], {**of, names.OUTCOME: outcome})


def _calls(calls: Mapping[str, Any], upstreams: Upstreams, into: Collection) -> None:
    into.add("pilotfish.call.active", calls["active"])
    for series in calls["series"]:
        common = _rpc(series["method"], series["code"])
        into.add("rpc.server.call.duration", Histogram.from_json(series["duration"]), common)
        upstream = Histogram.from_json(series["upstream"])
        if upstream.count:
            client = {**common, **upstreams.of(series["version"])}
            client |= {names.VERSION: series["version"], names.ROLE: series["role"]}
            into.add("rpc.client.call.duration", upstream, client)
    if calls["overhead"]:
        into.add("pilotfish.proxy.overhead.duration", Histogram.from_json(calls["overhead"]))
    for size, direction in (("request_size", "receive"), ("response_size", "transmit")):
        if calls[size]:
            into.add(
                "pilotfish.message.size", Exponential.from_json(calls[size]), {names.IO_DIRECTION: direction}
            )


def _rpc(method: str, code: str) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        names.RPC_SYSTEM: "grpc",
        names.RPC_METHOD: method,
        names.RPC_STATUS: code,
    }
    if code != "OK":
        attributes[names.ERROR_TYPE] = code
    return attributes


def _route(route: Mapping[str, Any], into: Collection) -> None:
    name = {names.ROUTE: route["name"]}
    for strategy, count in route["decisions"].items():
        into.add("pilotfish.route.decisions", count, {**name, names.STRATEGY: strategy})
    for version in route["versions"]:
        of = {**name, names.VERSION: version["version"]}
        into.add("pilotfish.route.calls", version["calls"], {**of, names.ROLE: version["role"]})
        into.add("pilotfish.route.weight", version["weight_ppm"] / 1e6, of)
        into.add("pilotfish.route.share", version["share"], of)


def _shadow(shadow: Mapping[str, Any], into: Collection) -> None:
    of = {names.ROUTE: shadow["route"], names.VERSION: shadow["version"]}
    into.add("pilotfish.shadow.active", shadow["in_flight"], of)
    for outcome in _SHADOW_OUTCOMES:
        into.add("pilotfish.shadow.calls", shadow[outcome], {**of, names.OUTCOME: outcome})
    for result in _COMPARISONS:
        into.add("pilotfish.shadow.comparisons", shadow[result], {**of, names.COMPARISON: result})
    for tensor, difference in shadow["max_difference"].items():
        into.add("pilotfish.shadow.max_difference", difference, {**of, names.TENSOR: tensor})


def _journal(journal: Mapping[str, Any], into: Collection) -> None:
    into.add("pilotfish.journal.observed", journal["observed"])
    into.add("pilotfish.journal.queue.size", journal["queued"])
    for outcome in ("kept", "sampled_out"):
        into.add("pilotfish.journal.records", journal[outcome], {names.OUTCOME: outcome})
    _by_reason(into, "pilotfish.journal.records", "dropped", journal["dropped"])
    into.add("pilotfish.sample.decisions", journal["sampled_out"], {names.SAMPLE_DECISION: "drop"})
    for reason, count in journal["reasons"].items():
        of = {names.SAMPLE_DECISION: "keep", names.SAMPLE_REASON: reason}
        into.add("pilotfish.sample.decisions", count, of)
    explained = (
        journal["kept"] + journal["sampled_out"] + journal["queued"] + sum(journal["dropped"].values())
    )
    into.add("pilotfish.accounting.difference", journal["observed"] - explained, {names.LEDGER: "journal"})


def _statistics(statistics: Mapping[str, Any], into: Collection) -> None:
    into.add("pilotfish.statistics.offered", statistics["offered"])
    into.add("pilotfish.statistics.queue.size", statistics["queued"])
    into.add("pilotfish.statistics.messages", statistics["decoded"], {names.OUTCOME: "decoded"})
    into.add("pilotfish.statistics.messages", statistics["thinned"], {names.OUTCOME: "thinned"})
    into.add("pilotfish.statistics.share", statistics["counted_share"])
    _by_reason(into, "pilotfish.statistics.messages", "unreadable", statistics["unreadable"])
    _by_reason(into, "pilotfish.statistics.messages", "dropped", statistics["dropped"])
    for defect, count in statistics["defects"].items():
        into.add("pilotfish.statistics.defects", count, {names.DEFECT: defect})
    explained = statistics["decoded"] + statistics["thinned"] + statistics["queued"]
    explained += sum(statistics["unreadable"].values()) + sum(statistics["dropped"].values())
    into.add(
        "pilotfish.accounting.difference", statistics["offered"] - explained, {names.LEDGER: "statistics"}
    )


def _state(state: Mapping[str, Any], into: Collection) -> None:
    into.add("pilotfish.state.files", state["written"], {names.OUTCOME: "written"})
    _by_reason(into, "pilotfish.state.files", "failed", state["failed"])
    into.add("pilotfish.state.models", state["restored"], {names.OUTCOME: "restored"})
    _by_reason(into, "pilotfish.state.models", "lost", state["lost"])


def _by_reason(into: Collection, metric: str, outcome: str, reasons: Mapping[str, int]) -> None:
    for reason, count in reasons.items():
        into.add(metric, count, {names.OUTCOME: outcome, names.ERROR_TYPE: reason})


def read_reloads(reloads: Mapping[str | None, int], into: Collection) -> None:
    """Add the reloads, by the error that kept one from taking effect."""
    for error, count in reloads.items():
        into.add("pilotfish.config.reloads", count, {names.ERROR_TYPE: error})


def read_counters(counters: Mapping[str, int], into: Collection) -> None:
    """Add the plane's own counters, each as the registry says what it is part of."""
    for name, part in names.registry().plane_counters.items():
        if part is not None and name in counters:
            into.add(part.metric, counters[name], part.attributes)
