"""The models of a snapshot -> families: rows, values of features, drift.

Features are the many: a model of a thousand columns gives thousands of series, which is why counts that are
usually zero appear only once they are not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pilotfish.telemetry import names
from pilotfish.telemetry.histogram import Exponential
from pilotfish.telemetry.series import AttributeValue, Collection

_DISTANCES = ("psi", "jensen_shannon", "ks")
_SCHEMA = "schema"
_EVIDENCE = "edetector"
_MEASURES = ("accuracy", "precision", "recall", "f1")
_DEFECTS = {
    "nan": "nan",
    "pos_inf": "pos_inf",
    "neg_inf": "neg_inf",
    "unseen": "unseen_category",
    "under": "below_range",
    "over": "above_range",
}


def read_models(models: Sequence[Mapping[str, Any]], into: Collection) -> None:
    """Add everything the models of a snapshot say."""
    for model in models:
        of: dict[str, AttributeValue] = {names.MODEL: model["model"], names.VERSION: model["version"]}
        _model(model, of, into)
        for feature in model["features"]:
            _feature(feature, of, into)


def _model(model: Mapping[str, Any], of: Mapping[str, AttributeValue], into: Collection) -> None:
    into.add("pilotfish.model.calls", model["calls"], of)
    into.add("pilotfish.model.rows", model["rows"], of)
    into.add("pilotfish.model.missing_values", model["missing"], of)
    into.add("pilotfish.model.unwatched_tensors", model["unwatched"], of)
    if model["rows"]:
        for aggregation in ("min", "max", "mean"):
            size = model["batch"][aggregation]
            into.add("pilotfish.model.batch_size", size, {**of, names.AGGREGATION: aggregation})
    evidence = model.get("evidence") or {}
    into.add("pilotfish.model.evidence", evidence.get("bits"), of)
    into.add("pilotfish.model.evidence_threshold", evidence.get("threshold_bits"), of)
    _performance(model.get("performance"), of, into)
    raised = [feature["alarm"]["method"] for feature in model["features"] if feature["alarm"]]
    raised += [_EVIDENCE] * ((model.get("volume") or {}).get("shape") is not None)
    for method in (_EVIDENCE, *_DISTANCES):
        # Zero is exported too: an alert rule needs a series before the first alarm.
        into.add("pilotfish.drift.alert.active", raised.count(method), {**of, names.DRIFT_METHOD: method})
    breaches = len(model.get("schema") or ())
    into.add("pilotfish.drift.alert.active", breaches, {**of, names.DRIFT_METHOD: _SCHEMA})


def _performance(
    found: Mapping[str, Any] | None, model: Mapping[str, AttributeValue], into: Collection
) -> None:
    if found is None:
        return
    for name, figures in (("estimate", found["estimated"]), ("reference", found["reference"])):
        area = figures["roc_auc"] or {}
        for measure, value in (*((it, figures[it]) for it in _MEASURES), ("roc_auc", area.get("value"))):
            into.add(f"pilotfish.performance.{name}", value, {**model, names.PERFORMANCE_MEASURE: measure})
    by = {**model, names.PERFORMANCE_MEASURE: "accuracy"}
    into.add("pilotfish.performance.estimate_noise", found["estimated"]["accuracy_noise"], by)


def _feature(feature: Mapping[str, Any], model: Mapping[str, AttributeValue], into: Collection) -> None:
    of = {**model, names.FEATURE: feature["name"], names.FEATURE_DIRECTION: feature["direction"]}
    into.add("pilotfish.tensor.values", feature["count"], of)
    for defect, count in _defects(feature).items():
        into.add("pilotfish.tensor.invalid_values", count, {**of, names.DEFECT: defect})
    if feature.get("histogram"):
        into.add("pilotfish.tensor.observation", Exponential.from_json(feature["histogram"]), of)
    drift = feature["drift"] or {}
    evidence = feature.get("evidence") or {}
    into.add("pilotfish.drift.score", evidence.get("bits"), {**of, names.DRIFT_METHOD: _EVIDENCE})
    for method in _DISTANCES:
        by = {**of, names.DRIFT_METHOD: method}
        into.add("pilotfish.drift.score", drift.get(method), by)
        into.add("pilotfish.drift.expected_noise", drift.get(f"{method}_noise"), by)
    for window in feature.get("windows") or ():
        _window(window, of, into)
    _categories(feature, of, into)


def _window(window: Mapping[str, Any], feature: Mapping[str, AttributeValue], into: Collection) -> None:
    of = {**feature, names.DRIFT_WINDOW: window["window"]}
    into.add("pilotfish.drift.window.samples", window["rows"], of)
    for method in _DISTANCES:
        by = {**of, names.DRIFT_METHOD: method}
        into.add("pilotfish.drift.window.score", window[method], by)
        into.add("pilotfish.drift.window.expected_noise", window[f"{method}_noise"], by)


def _categories(feature: Mapping[str, Any], of: Mapping[str, AttributeValue], into: Collection) -> None:
    # Inputs that happen to be whole numbers have bins with names too; every pixel of an image is such a one.
    if feature["kind"] != "category" and feature["direction"] != "output":
        return
    bins = feature.get("bins") or {}
    for label, count in zip(bins.get("labels") or (), bins.get("window") or (), strict=False):
        into.add("pilotfish.category.count", count, {**of, names.CATEGORY: str(label)})


def _defects(feature: Mapping[str, Any]) -> dict[str, int]:
    found = {defect: feature[cell] for cell, defect in _DEFECTS.items()}
    # `missing` counts NaN too, which is already a defect of its own.
    found["null"] = max(feature["missing"] - feature["nan"], 0)
    return {defect: count for defect, count in found.items() if count}
