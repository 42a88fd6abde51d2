"""A snapshot of the core by hand: small numbers that a reader can add up."""

import copy
import json
import threading
from typing import Any

CALL_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]


def histogram(*buckets: int, bounds: list[float] | None = None, total: float = 1.0) -> dict[str, Any]:
    bounds = bounds or CALL_SECONDS
    counts = [*buckets, *[0] * (len(bounds) + 1 - len(buckets))]
    return {"bounds": bounds, "counts": counts, "count": sum(counts), "sum": total, "min": 0.001, "max": 0.9}


def exponential(
    offset: int, *counts: int, scale: int = 3, zero: int = 0, total: float = 1.0
) -> dict[str, Any]:
    return {
        "scale": scale,
        "count": sum(counts) + zero,
        "sum": total,
        "min": 0.0,
        "max": 16.0,
        "zero_count": zero,
        "positive": {"offset": offset, "counts": list(counts)},
        "negative": {"offset": 0, "counts": []},
    }


def series(code: str, version: str, *buckets: int, method: str = "ModelInfer") -> dict[str, Any]:
    return {
        "method": f"inference.GRPCInferenceService/{method}",
        "version": version,
        "role": "primary" if version == "v1" else "canary",
        "code": code,
        "count": sum(buckets),
        "duration": histogram(*buckets),
        "upstream": histogram(*buckets),
    }


def feature(name: str, **changes: Any) -> dict[str, Any]:
    base = {
        "name": name,
        "direction": "input",
        "kind": "numeric",
        "count": 900,
        "missing": 5,
        "nan": 3,
        "pos_inf": 1,
        "neg_inf": 0,
        "under": 2,
        "over": 0,
        "unseen": 0,
        "mean": 1.0,
        "std": 0.5,
        "min": 0,
        "max": 16,
        "drift": {
            "psi": 0.31,
            "psi_noise": 0.03,
            "jensen_shannon": 0.1,
            "jensen_shannon_noise": None,
            "ks": None,
            "ks_noise": None,
            "pane_rows": 500,
            "score": 0.31,
        },
        "windows": [
            {
                "window": "1h",
                "rows": 700,
                "psi": 0.21,
                "psi_noise": 0.02,
                "jensen_shannon": 0.09,
                "jensen_shannon_noise": 0.05,
                "ks": None,
                "ks_noise": None,
            }
        ],
        "alarm": {"method": "psi", "score": 0.31, "threshold": 0.2, "since_row": 500},
        "bins": {"edges": [0.0, 1.0], "labels": None, "reference": [1, 2, 3], "window": [3, 2, 1]},
        "histogram": exponential(-4, 1, 0, 3, zero=2),
    }
    return base | changes


def model(features: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": "digits",
        "version": "v1",
        "state": "watching",
        "profile": {"hash": "abc", "rows": 898},
        "calls": 900,
        "rows": 1800,
        "batch": {"min": 1, "max": 64, "mean": 2.0},
        "missing": 5,
        "unwatched": 2,
        "panes": 3,
        "evidence": {"bits": 4.5, "threshold_bits": 11.0, "alarm": False, "flagged": []},
        "performance": {
            "output": "proba",
            "label_age_s": None,
            "estimated": figures(0.91, accuracy_noise=0.002),
            "reference": figures(0.94, accuracy_noise=0.0),
        },
        "features": features,
    }


def figures(accuracy: float, accuracy_noise: float) -> dict[str, Any]:
    return {
        "rows": 1800,
        "accuracy": accuracy,
        "precision": 0.8,
        "recall": 0.7,
        "specificity": None,
        "f1": 0.75,
        "roc_auc": {"low": 0.89, "value": 0.9, "high": 0.91},
        "accuracy_noise": accuracy_noise,
    }


def category() -> dict[str, Any]:
    return feature(
        "class",
        direction="output",
        kind="category",
        missing=0,
        nan=0,
        pos_inf=0,
        under=0,
        unseen=4,
        drift=None,
        alarm=None,
        bins={"edges": None, "labels": ["cat", "dog"], "reference": [5, 5], "window": [7, 3]},
        histogram=None,
    )


def snapshot() -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "plane": "grpcio",
        "uptime_seconds": 12.5,
        "generation": 3,
        "versions": [
            {"version": "v1", "upstream": "127.0.0.1:8001", "in_force": True},
            {"version": "v2", "upstream": "unix:/run/v2.sock", "in_force": True},
        ],
        "calls": {
            "total": 12,
            "active": 2,
            "series": [series("OK", "v1", 4, 2), series("OK", "v2", 1, 2), series("UNAVAILABLE", "v1", 3)],
            "overhead": histogram(1, 2, 3, bounds=[1e-5, 1e-4, 1e-3]),
            "request_size": exponential(10, 6, 6, total=600.0),
            "response_size": None,
        },
        "routes": [
            {
                "name": "default",
                "sticky": ["metadata:x-user-id"],
                "versions": [
                    {"version": "v1", "role": "primary", "weight_ppm": 900_000, "share": 0.75, "calls": 9},
                    {"version": "v2", "role": "canary", "weight_ppm": 100_000, "share": 0.25, "calls": 3},
                ],
                "decisions": {"static": 0, "canary": 11, "fallback": 1},
            }
        ],
        "shadows": [
            {
                "route": "default",
                "version": "v3",
                "share_ppm": 1_000_000,
                "in_flight": 1,
                "ok": 6,
                "error": 2,
                "timeout": 1,
                "dropped": 3,
                "match": 4,
                "mismatch": 2,
                "undecodable": 1,
                "status_mismatch": 1,
                "max_difference": {"proba": 0.01},
            }
        ],
        "journal": {
            "observed": 12,
            "kept": 3,
            "sampled_out": 7,
            "queued": 1,
            "dropped": {"queue_full": 1},
            "reasons": {"sampled": 2, "error": 3},
        },
        "statistics": {
            "offered": 24,
            "decoded": 17,
            "thinned": 3,
            "counted_share": 0.85,
            "unreadable": {"unknown_method": 2},
            "dropped": {"queue_full": 1},
            "queued": 1,
            "defects": {"shape_mismatch": 1},
        },
        "state": {"written": 7, "failed": {"disk_full": 2}, "restored": 1, "lost": {"damaged": 1}},
        "models": [model([feature("x[0]"), category()])],
        "alarms": {"active": 1, "raised": 2, "cleared": 1},
        "series_overflow": 0,
    }


class FakeCertificates:
    """The listener's certificate, which has been renewed, and one for a model server, which could not be."""

    def states(self) -> bytes:
        listener = {
            "version": None,
            "subject": "CN=a",
            "not_after": 4_000_000_000,
            "renewed": 3,
            "refused": 0,
        }
        upstream = {"version": "v1", "subject": None, "not_after": None, "renewed": 0, "refused": 1}
        return json.dumps([{**state, "wrong": None} for state in (listener, upstream)]).encode()


class FakeEngine:
    """Hands out a snapshot that a test may change; without detail it lacks what the core then leaves out."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.state = state or snapshot()
        self.lock = threading.Lock()

    def snapshot(self, now_ns: int, detail: bool = False) -> bytes:
        with self.lock:
            state = copy.deepcopy(self.state)
        if not detail:
            for held in (feature for model in state["models"] for feature in model["features"]):
                held.pop("bins")
                held.pop("histogram")
        return json.dumps(state).encode()

    def snapshot_pieces(self, now_ns: int, detail: bool, features: int) -> list[bytes]:
        state = json.loads(self.snapshot(now_ns, detail))
        pieces: list[dict[str, Any]] = []
        for place, model in enumerate(state["models"]):
            held, model["features"] = model["features"], []
            pieces += [
                {"model": place, "features": held[start : start + features]}
                for start in range(0, len(held), features)
            ]
        return [json.dumps(piece).encode() for piece in (state, *pieces)]
