"""Every test here runs three times: straight to the backend, and through each of the two planes.

``direct`` proves that the test is right; ``grpcio`` and ``native`` that the plane carries the property. What
a plane's guarantees say is not preserved must fail, or the guarantees are wrong.
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
        if mark is None or callspec is None:
            continue
        guarantee = guarantees[mark.args[0]]
        promised = {"grpcio": guarantee.grpcio, "native": guarantee.native}
        if promised.get(callspec.params.get("relay")) == NOT_PRESERVED:
            item.add_marker(pytest.mark.xfail(reason=guarantee.note, strict=True))


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = Backend()
    backend.port = await backend.start()
    yield backend
    await backend.stop()


@pytest.fixture(params=["direct", "grpcio", "native"])
async def relay(request: pytest.FixtureRequest, backend: Backend) -> AsyncIterator[int]:
    """The port to call: the backend's own, or that of a plane before it."""
    if request.param == "direct":
        yield backend.port
        return
    versions = {"v1": {"upstream": f"127.0.0.1:{backend.port}"}}
    async with running(plane=request.param, versions=versions) as plane:
        yield plane.port
