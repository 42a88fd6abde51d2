"""Every test here runs straight to the backend and through each of the two planes, and through Envoy where
that is installed (``make bench-tools``): the oracle, which nobody here wrote.

``direct`` proves that the test is right; the others that the property is carried. What the guarantees say is
not preserved must fail, or the guarantees are wrong.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from bench.peer import ENVOY, PEERS, Place
from bench.stand import end, free_port

from conformance.http2 import Backend
from pilotfish.plane.guarantees import NOT_PRESERVED, read
from pilotfish.testing.plane import running

RELAYS = ["direct", "grpcio", "native", *(["envoy"] if ENVOY.exists() else [])]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    guarantees = {guarantee.id: guarantee for guarantee in read("grpcio")}
    for item in items:
        mark = item.get_closest_marker("guarantee")
        callspec = getattr(item, "callspec", None)
        if mark is None or callspec is None:
            continue
        guarantee = guarantees[mark.args[0]]
        promised = {"grpcio": guarantee.grpcio, "native": guarantee.native, "envoy": guarantee.envoy}
        relay = callspec.params.get("relay")
        if promised.get(relay) == NOT_PRESERVED:
            # Envoy keeps some forms of what it does not keep in general.
            item.add_marker(pytest.mark.xfail(reason=guarantee.note, strict=relay != "envoy"))


@pytest.fixture(scope="session")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Envoy before a port where backends come and go."""
    place = Place(free_port(), free_port(), free_port(), Path(tmp_path_factory.mktemp("envoy")))
    (peer,) = (peer for peer in PEERS if peer.name == "Envoy")
    process = subprocess.Popen(peer.command(place), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield place
    finally:
        end(process)


@pytest.fixture
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    backend = Backend()
    through_envoy = (
        getattr(request.node, "callspec", None) and request.node.callspec.params.get("relay") == "envoy"
    )
    backend.port = await backend.start(request.getfixturevalue("envoy").upstream if through_envoy else 0)
    yield backend
    await backend.stop()


@pytest.fixture(params=RELAYS)
async def relay(request: pytest.FixtureRequest, backend: Backend) -> AsyncIterator[int]:
    """The port to call: the backend's own, or that of a relay before it."""
    if request.param == "direct":
        yield backend.port
    elif request.param == "envoy":
        place = request.getfixturevalue("envoy")
        await listening(place.listen)
        yield place.listen
    else:
        versions = {"v1": {"upstream": f"127.0.0.1:{backend.port}"}}
        async with running(plane=request.param, versions=versions) as plane:
            yield plane.port


async def listening(port: int) -> None:
    """Wait until somebody does."""
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise RuntimeError(f"nobody listens on port {port}")
