"""Every test here runs twice: straight to the backend, and through the grpcio plane.

``direct`` proves that the test is right; ``grpcio`` that the plane carries the property. What the plane's
guarantees say is not preserved must fail, or the guarantees are wrong.
"""

from collections.abc import AsyncIterator

import pytest

from conformance.http2 import Backend
from pilotfish.plane.guarantees import NOT_PRESERVED, read
from pilotfish.testing.plane import running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    guarantees = {guarantee.id: guarantee for guarantee in read("grpcio")}
    for item in items:
        mark = item.get_closest_marker("guarantee")
        callspec = getattr(item, "callspec", None)
        if mark is None or callspec is None or callspec.params.get("relay") != "grpcio":
            continue
        guarantee = guarantees[mark.args[0]]
        if guarantee.grpcio == NOT_PRESERVED:
            item.add_marker(pytest.mark.xfail(reason=guarantee.note, strict=True))


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = Backend()
    backend.port = await backend.start()
    yield backend
    await backend.stop()


@pytest.fixture(params=["direct", "grpcio"])
async def relay(request: pytest.FixtureRequest, backend: Backend) -> AsyncIterator[int]:
    """The port to call: the backend's own, or that of a plane before it."""
    if request.param == "direct":
        yield backend.port
        return
    async with running(versions={"v1": {"upstream": f"127.0.0.1:{backend.port}"}}) as plane:
        yield plane.port
