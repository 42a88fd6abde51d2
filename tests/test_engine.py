"""The engine through the extension: what both data planes rely on."""

import json
import threading
import time
from typing import Any

import numpy as np
import pytest

from pilotfish import _core

INFER = "/inference.GRPCInferenceService/ModelInfer"
NOW = time.monotonic_ns()


def configuration(**changes: Any) -> str:
    route = {"name": "digits", "stable": "v1", "sticky": ["metadata:x-user-id"], "salt": "s"}
    base = {
        "plane": "test",
        "versions": [{"name": "v1"}, {"name": "v2"}],
        "routes": [route | changes.pop("route", {})],
        "sampling": {"share_ppm": 0, "errors": False},
        "monitor": {"pane_rows": 100, "learn_rows": 0},
        "queue": {"messages": 4096, "bytes": 1 << 26},
    }
    return json.dumps(base | changes)


def engine(profiles: dict[str, bytes] | None = None, **changes: Any) -> _core.Engine:
    return _core.Engine(configuration(**changes), profiles or {}, NOW)


def tensor_field(name: str, rows: np.ndarray) -> bytes:
    """A raw FP64 tensor as field 5 of a message."""
    shape = b"".join(bytes([extent]) for extent in rows.shape)
    body = b"\x0a" + bytes([len(name)]) + name.encode() + b"\x12\x04FP64\x1a" + bytes([len(shape)]) + shape
    return b"\x2a" + bytes([len(body)]) + body


def request(rows: np.ndarray, model: str = "m") -> bytes:
    raw = rows.astype("<f8").tobytes()
    length = bytes([len(raw) & 0x7F | 0x80, len(raw) >> 7]) if len(raw) > 127 else bytes([len(raw)])
    return b"\x0a" + bytes([len(model)]) + model.encode() + tensor_field("x", rows) + b"\x3a" + length + raw


def snapshot(of: _core.Engine, detail: bool = False) -> dict[str, Any]:
    assert of.flush(10.0)
    result: dict[str, Any] = json.loads(of.snapshot(NOW, detail))
    return result


def call(on: _core.Engine, message: bytes, code: int = 0, user: str = "u") -> str | None:
    decision = on.decide(INFER, (("x-user-id", user),), 1)
    return on.observe(decision, code, 2_000_000, 1_000_000, NOW, message, None, len(message), 0)


def test_feature_means_equal_numpys() -> None:
    rows = np.random.default_rng(1).normal(3.0, 2.0, size=(50, 3))
    rows[4, 1] = np.nan
    rows[7, 2] = np.inf
    of = engine()
    for row in rows:
        call(of, request(row[None, :]))
    features = {feature["name"]: feature for feature in snapshot(of)["models"][0]["features"]}
    assert set(features) == {"x[0]", "x[1]", "x[2]"}
    for column in range(3):
        finite = rows[np.isfinite(rows[:, column]), column]
        assert features[f"x[{column}]"]["mean"] == pytest.approx(finite.mean(), rel=1e-12)
        assert features[f"x[{column}]"]["std"] == pytest.approx(finite.std(), rel=1e-2)
    assert features["x[1]"]["nan"] == 1
    assert features["x[2]"]["pos_inf"] == 1


def test_drift_is_told_by_feature_and_only_after_it_began() -> None:
    generator = np.random.default_rng(2)
    builder = _core.ProfileBuilder("m", 16)
    reference = generator.normal(size=(5000, 2))
    for column in range(2):
        builder.add_numbers(f"x[{column}]", "input", reference[:, column])
    of = engine({"v1": builder.finish()})
    for _ in range(100):
        call(of, request(generator.normal(size=(10, 2))))
    assert snapshot(of)["alarms"]["raised"] == 0
    for _ in range(60):
        call(of, request(generator.normal(size=(10, 2)) + np.array([0.0, 2.0])))
    state = snapshot(of)
    events = json.loads(of.alarms(0))
    assert [(event["feature"], event["state"]) for event in events] == [("x[1]", "raised")]
    assert 1000 <= events[0]["change_row"] <= 1100
    assert events[0]["row"] >= events[0]["change_row"]
    assert json.loads(of.alarms(events[0]["sequence"])) == []
    assert state["alarms"]["active"] == 1


def test_a_user_stays_with_a_version() -> None:
    of = engine(route={"candidates": [{"version": "v2", "weight_ppm": 300_000}]})
    for user in range(200):
        versions = {of.decide(INFER, (("x-user-id", str(user)),), seed).version for seed in range(5)}
        assert len(versions) == 1


def test_binary_and_odd_metadata_never_fail_a_decision() -> None:
    of = engine()
    odd: list[Any] = [("a-bin", b"\xff\x00"), ("b", "\ud800"), ("only-one",), 7, None, ("c", 5)]
    assert of.decide("", odd, 2**64 - 1).version == "v1"
    assert of.decide("/odd path", (), 0).strategy == "static"


def test_kept_calls_are_settled_once() -> None:
    of = engine(sampling={"share_ppm": 0, "errors": True})
    assert call(of, b"", code=13) == "error"
    assert call(of, b"", code=0) is None
    of.settle(None)
    with pytest.raises(RuntimeError, match="once"):
        of.settle("queue_full")
    assert snapshot(of)["journal"] | {"reasons": {}} == {
        "observed": 2, "kept": 1, "sampled_out": 1, "queued": 0, "dropped": {}, "reasons": {}
    }  # fmt: skip


def test_an_unreadable_message_is_counted_by_reason() -> None:
    of = engine()
    call(of, b"\xff\xff\xff")
    decision = of.decide("/other.Service/Method", (), 1)
    of.observe(decision, 0, 1, 1, NOW, b"abc", None, 3, 0)
    account = snapshot(of)["statistics"]
    assert account["unreadable"] == {"malformed": 1, "unknown_method": 1}
    assert account["offered"] == 2


def test_a_configuration_that_cannot_be_used_is_refused_with_its_name() -> None:
    with pytest.raises(_core.ConfigurationError, match="'v9'"):
        engine(route={"stable": "v9"})
    with pytest.raises(_core.ConfigurationError, match="colour"):
        engine(colour="red")
    with pytest.raises(_core.ProfileError):
        engine({"v1": b"{}"})


def test_without_monitoring_nothing_is_read() -> None:
    of = engine(monitor=None)
    call(of, request(np.ones((1, 2))))
    state = snapshot(of)
    assert state["statistics"]["offered"] == 0
    assert state["models"] == []
    assert state["calls"]["total"] == 1


def test_beyond_the_budget_whole_calls_are_left_out_and_counted_as_thinned() -> None:
    of = engine(values_per_second=1)  # exhausted by the first call
    rows = np.ones((4, 8))
    for _ in range(50):
        call(of, request(rows))
    state = snapshot(of)
    account = state["statistics"]
    assert (account["offered"], account["decoded"], account["thinned"]) == (50, 1, 49)
    assert account["counted_share"] < 0.01
    assert (state["models"][0]["rows"], state["calls"]["total"]) == (4, 50)


def test_a_stream_is_thinned_message_by_message() -> None:
    of = engine(values_per_second=1)
    decision = of.decide(INFER, (), 1)
    for _ in range(9):
        of.observe_message(decision, "input", request(np.ones((4, 8))), NOW)
    account = snapshot(of)["statistics"]
    assert (account["offered"], account["decoded"], account["thinned"]) == (9, 1, 8)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(_core.ConfigurationError, match="values_per_second is 0: give"):
        engine(values_per_second=0)


def test_readers_and_calls_on_many_threads_agree_in_the_end() -> None:
    of = engine(sampling={"share_ppm": 500_000, "errors": True})
    message = request(np.ones((1, 2)))
    stop = threading.Event()

    def work() -> None:
        for i in range(2_000):
            decision = of.decide(INFER, (("x-request-id", str(i)),), i)
            if of.observe(decision, i % 3, 10, 5, NOW, message, None, len(message), 0):
                of.settle(None if i % 2 else "queue_full")

    def read() -> None:
        while not stop.is_set():
            journal = json.loads(of.snapshot(NOW))["journal"]
            whole = (
                journal["kept"]
                + journal["sampled_out"]
                + journal["queued"]
                + sum(journal["dropped"].values())
            )
            assert journal["observed"] == whole

    reader = threading.Thread(target=read)
    workers = [threading.Thread(target=work) for _ in range(4)]
    for thread in [reader, *workers]:
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    reader.join()
    state = snapshot(of)
    assert state["journal"]["observed"] == state["calls"]["total"] == 8_000
    account = state["statistics"]
    assert account["offered"] == account["decoded"] + sum(account["dropped"].values()) == 8_000
    assert state["calls"]["active"] == 0


def test_a_snapshot_in_pieces_is_the_same_snapshot() -> None:
    of = engine()
    for row in np.random.default_rng(1).normal(size=(5, 7)):
        call(of, request(row[None, :]))
    whole = snapshot(of, detail=True)
    first, *others = map(json.loads, of.snapshot_pieces(NOW, True, 3))
    assert [len(piece["features"]) for piece in others] == [3, 3, 1]
    assert first["models"][0].pop("features") == []
    assert [feature for piece in others for feature in piece["features"]] == whole["models"][0].pop(
        "features"
    )
    assert first == whole
