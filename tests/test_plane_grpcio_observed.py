"""What the grpcio plane keeps, copies and decides beside forwarding."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpcio_model import MODEL_INFER, Server, Unary, echo, eventually, hang, model, plane_before, snapshot

from pilotfish.call import KeptCall
from pilotfish.testing.plane import RunningPlane


async def test_a_sticky_key_always_reaches_the_same_version() -> None:
    def named(name: bytes) -> Unary:
        async def answer(request: bytes, context: Any) -> bytes:
            return name

        return answer

    route = {
        "name": "digits",
        "stable": "v1",
        "candidates": [{"version": "v2", "weight_ppm": 500_000}],
        "sticky": ["metadata:x-user-id"],
    }
    async with (
        model(named(b"v1")) as one,
        model(named(b"v2"), name="v2") as two,
        plane_before(one, two, routes=[route]) as (plane, channel),
    ):
        infer = channel.unary_unary(MODEL_INFER)
        answers: dict[int, set[bytes]] = {}
        for _ in range(3):
            for user in range(30):
                answer = await infer(b"x", metadata=(("x-user-id", str(user)),))
                answers.setdefault(user, set()).add(answer)
        assert all(len(seen) == 1 for seen in answers.values())
        assert {version for seen in answers.values() for version in seen} == {b"v1", b"v2"}
        await eventually(lambda: snapshot(plane)["calls"]["total"] == 90)
        shares = {entry["version"]: entry["calls"] for entry in snapshot(plane)["routes"][0]["versions"]}
        assert shares["v2"] == 3 * sum(seen == {b"v2"} for seen in answers.values())


async def test_a_kept_call_holds_the_whole_call() -> None:
    async def answer(request: bytes, context: Any) -> bytes:
        return b"reply"

    keep_all = {"share_ppm": 1_000_000, "errors": True, "slower_than": None, "canary": False}
    async with model(answer) as server, plane_before(server, sampling=keep_all) as (plane, channel):
        metadata = (("x-request-id", "r-1"), ("k", "1"), ("k", "2"))
        await channel.unary_unary(MODEL_INFER)(b"question", metadata=metadata)
        await eventually(lambda: len(plane.kept) == 1)
        (kept,) = plane.kept
        assert (kept.call_id, kept.reason, kept.method) == ("r-1", "sampled", MODEL_INFER)
        assert (kept.code, kept.message) == (0, "")
        assert (kept.request, kept.response) == (b"question", b"reply")
        assert (kept.request_bytes, kept.response_bytes) == (8, 5)
        assert (kept.route, kept.version, kept.role, kept.strategy) == ("default", "v1", "primary", "static")
        assert kept.upstream == server.address
        assert kept.peer.startswith("ipv4:127.0.0.1:")
        assert set(metadata) <= {tuple(entry) for entry in kept.metadata}
        assert 0 < kept.upstream_ns <= kept.duration_ns
        journal = snapshot(plane)["journal"]
        assert (journal["observed"], journal["kept"]) == (1, 1)


async def test_a_kept_stream_has_sizes_but_no_messages() -> None:
    keep_all = {"share_ppm": 1_000_000, "errors": True, "slower_than": None, "canary": False}
    async with model() as server, plane_before(server, sampling=keep_all) as (plane, channel):
        assert [reply async for reply in channel.stream_stream("/s.S/Both")(iter([b"a", b"b"]))] == [
            b"a!",
            b"b!",
        ]
        await eventually(lambda: len(plane.kept) == 1)
    (kept,) = plane.kept
    assert (kept.request, kept.response) == (None, None)
    assert (kept.request_bytes, kept.response_bytes) == (2, 4)


async def test_whoever_keeps_calls_cannot_break_them() -> None:
    def broken(call: KeptCall) -> None:
        raise OSError("disk on fire")

    keep_all = {"share_ppm": 1_000_000, "errors": True, "slower_than": None, "canary": False}
    async with model() as server, plane_before(server, keep=broken, sampling=keep_all) as (plane, channel):
        assert await channel.unary_unary(MODEL_INFER)(b"x") == b"x"
        await eventually(lambda: snapshot(plane)["journal"]["dropped"].get("failed") == 1)


async def down(request: bytes, context: Any) -> bytes:
    await context.abort(grpc.StatusCode.INTERNAL, "shadow is broken")
    raise AssertionError


def shadowing(timeout: str = "200ms") -> dict[str, Any]:
    shadow = {"version": "v9", "share_ppm": 1_000_000, "timeout": timeout, "max_in_flight": 2}
    return {"routes": [{"name": "default", "stable": "v1", "shadow": shadow}]}


@pytest.mark.parametrize(
    ("behaviour", "counted"),
    [(echo, "ok"), (hang, "timeout"), (down, "error"), (None, "error")],
    ids=["answers", "hangs", "fails", "is-down"],
)
async def test_the_client_cannot_see_a_shadow(behaviour: Unary | None, counted: str, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/shadow.sock"
    shadow = Server(behaviour or echo, "v9", address)
    if behaviour is not None:
        await shadow.start(address)
    async with model() as primary, plane_before(primary, shadow, **shadowing()) as (plane, channel):
        call = channel.unary_unary(MODEL_INFER)(b"x", metadata=(("k", "1"),))
        assert await call == b"x"
        assert tuple(await call.trailing_metadata()) == ()
        await eventually(lambda: settled(plane) == 1)
        assert shadows(plane)[counted] == 1
        assert snapshot(plane)["calls"]["total"] == 1
    assert "x-pilotfish-shadow" not in dict(primary.metadata[0])
    if behaviour is not None:
        assert dict(shadow.metadata[0])["x-pilotfish-shadow"] == "1"
        assert dict(shadow.metadata[0])["k"] == "1"
        await shadow.stop()


async def test_hanging_shadows_are_bounded_and_the_rest_dropped() -> None:
    async with model() as primary, model(hang, name="v9") as shadow:
        async with plane_before(primary, shadow, **shadowing("10s")) as (plane, channel):
            for _ in range(5):
                assert await channel.unary_unary(MODEL_INFER)(b"x") == b"x"
            await eventually(lambda: shadows(plane)["dropped"] == 3)
            assert shadows(plane)["in_flight"] == 2
            engine = plane
        assert shadows(engine)["in_flight"] == 0


async def test_streams_are_not_shadowed() -> None:
    async with model() as primary, model(name="v9") as shadow:
        async with plane_before(primary, shadow, **shadowing()) as (plane, channel):
            assert [reply async for reply in channel.stream_stream("/s.S/Both")(iter([b"a"]))] == [b"a!"]
            await eventually(lambda: snapshot(plane)["calls"]["total"] == 1)
        assert shadow.metadata == []


def shadows(plane: RunningPlane) -> dict[str, Any]:
    (entry,) = snapshot(plane)["shadows"]
    return dict(entry)


def settled(plane: RunningPlane) -> int:
    return sum(shadows(plane)[key] for key in ("ok", "error", "timeout"))


# === life
