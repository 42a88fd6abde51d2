"""The same traffic through either plane gives the same decisions, counts and statistics."""

import asyncio
import json
import time
from typing import Any

import grpc
import numpy as np

from pilotfish.testing.model import MODEL_INFER, FakeModel, Refusal, infer_request, infer_response
from pilotfish.testing.plane import RunningPlane, running

CALLS = 400
PATIENCE = 20.0
RANDOM = np.random.default_rng(7)
FEATURES = RANDOM.normal(size=(CALLS, 4)).astype(np.float32)


def request(call: int) -> bytes:
    return infer_request("digits", {"x": FEATURES[call : call + 1]})


def scores(received: bytes, weight: float) -> bytes | Refusal:
    values = np.frombuffer(received[-16:], np.float32)
    if values[0] > 1.5:
        return Refusal(grpc.StatusCode.OUT_OF_RANGE, "too far")
    return infer_response("digits", {"score": np.array([values.sum() * weight], np.float32)})


async def drive(plane: RunningPlane) -> list[tuple[str, bytes]]:
    """Each call's status and answer, seen by the client."""
    seen = []
    async with grpc.aio.insecure_channel(plane.address) as channel:
        for call in range(CALLS):
            method = "/some.Other/Method" if call % 50 == 49 else MODEL_INFER
            metadata = (("x-user", str(call % 37)), ("x-request-id", f"call-{call}"))
            sent = channel.unary_unary(method)(request(call), metadata=metadata, timeout=PATIENCE)
            try:
                seen.append(("OK", await sent))
            except grpc.aio.AioRpcError as error:
                seen.append((error.code().name, (error.details() or "").encode()))
    return seen


async def settled(plane: RunningPlane) -> dict[str, Any]:
    """The snapshot, once every copy has ended and every message is in it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        await plane.flush()
        snapshot: dict[str, Any] = json.loads(plane.engine.snapshot(time.monotonic_ns(), detail=True))
        copies = snapshot["shadows"][0]["in_flight"]
        waiting = snapshot["journal"]["queued"]
        if snapshot["calls"]["total"] == CALLS and copies + waiting == 0:
            return snapshot
        assert time.monotonic() < deadline, snapshot["shadows"]
        await asyncio.sleep(0.01)


def counted(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Everything but what is measured in time."""
    counts = {
        key: snapshot[key] for key in ("routes", "shadows", "journal", "statistics", "models", "alarms")
    }
    for series in snapshot["calls"]["series"]:
        del series["duration"], series["upstream"]
    counts["series"] = sorted(snapshot["calls"]["series"], key=str)
    counts["sizes"] = [snapshot["calls"]["request_size"], snapshot["calls"]["response_size"]]
    for model in counts["models"]:
        for feature in model["features"]:
            if feature["alarm"]:
                feature["alarm"].pop("since_ns", None)
    return counts


async def test_the_same_traffic_is_decided_counted_and_watched_alike() -> None:
    answers = {
        name: FakeModel({MODEL_INFER: lambda received, weight=weight: scores(received, weight)})
        for name, weight in (("v1", 1.0), ("v2", 1.1), ("v3", 1.0))
    }
    async with answers["v1"] as v1, answers["v2"] as v2, answers["v3"] as v3:
        settings: dict[str, Any] = {
            "versions": {
                name: {"upstream": model.address} for name, model in (("v1", v1), ("v2", v2), ("v3", v3))
            },
            "routes": [
                {
                    "name": "digits",
                    "stable": "v1",
                    "candidates": [{"version": "v2", "weight_ppm": 300_000}],
                    "sticky": ["metadata:x-user"],
                    "shadow": {"version": "v3", "max_in_flight": 1000, "timeout": "20s"},
                }
            ],
            "sampling": {"share_ppm": 200_000},
            "monitor": {"pane_rows": 50, "learn_rows": 100},
        }
        results = {}
        for name in ("grpcio", "native"):
            async with running(plane=name, **settings) as plane:
                seen = await drive(plane)
                snapshot = counted(await settled(plane))
                kept = sorted((call.call_id, call.reason, call.version, call.code) for call in plane.kept)
            results[name] = (seen, snapshot, kept)
    assert results["native"][0] == results["grpcio"][0]
    assert results["native"][2] == results["grpcio"][2]
    for part, count in results["grpcio"][1].items():
        assert results["native"][1][part] == count, part
