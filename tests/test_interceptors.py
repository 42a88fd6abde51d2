"""A user's interceptors on the grpcio plane."""

import sys
from types import ModuleType
from typing import Any

import grpc
import pytest
from grpc import aio
from grpcio_model import MODEL_INFER, eventually, model, plane_before, snapshot

from pilotfish.errors import ConfigurationError
from pilotfish.plane.grpcio import interceptors


class Doorkeeper(aio.ServerInterceptor):
    """Lets nobody in without a key."""

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        if ("x-key", "sesame") in handler_call_details.invocation_metadata:
            return await continuation(handler_call_details)

        async def refuse(request: bytes, context: Any) -> bytes:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no key")
            raise AssertionError

        return grpc.unary_unary_rpc_method_handler(refuse)


@pytest.fixture
def user_module(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("users_own")
    module.Doorkeeper = Doorkeeper  # type: ignore[attr-defined]
    module.NoInterceptor = dict  # type: ignore[attr-defined]
    module.Demanding = type("Demanding", (Doorkeeper,), {"__init__": lambda self, key: None})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "users_own", module)
    return "users_own"


async def test_interceptors_run_on_the_path(user_module: str) -> None:
    async with (
        model() as server,
        plane_before(server, interceptors=["users_own:Doorkeeper"]) as (plane, channel),
    ):
        infer = channel.unary_unary(MODEL_INFER)
        assert await infer(b"x", metadata=(("x-key", "sesame"),)) == b"x"
        with pytest.raises(aio.AioRpcError) as caught:
            await infer(b"x")
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await eventually(lambda: snapshot(plane)["calls"]["total"] == 1)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module:Thing", "cannot import no_such_module.*install it"),
        ("users_own:Missing", "users_own has no Missing"),
        ("users_own:NoInterceptor", "is no grpc.aio.ServerInterceptor"),
        ("users_own:Demanding", "cannot be made.*no arguments"),
    ],
)
def test_an_unusable_interceptor_is_refused_with_a_remedy(user_module: str, name: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        interceptors.load([name])


# === routing, observing, shadow
