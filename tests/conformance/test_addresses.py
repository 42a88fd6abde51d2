"""Every kind of address, on both sides of both planes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conformance.http2 import Backend, Peer, request_headers, values
from pilotfish.testing.plane import running

AUTHORITY = ":authority"

both = pytest.mark.parametrize("plane", ["grpcio", "native"])


@pytest.fixture
async def unix(tmp_path: Path) -> AsyncIterator[tuple[Backend, str]]:
    """A scripted backend on a Unix socket, and its address."""
    async with listening(family=socket.AF_UNIX, path=str(tmp_path / "model.sock")) as backend:
        yield backend, f"unix:{tmp_path}/model.sock"


@asynccontextmanager
async def listening(*, family: int, path: str = "") -> AsyncIterator[Backend]:
    backend = Backend()
    loop = asyncio.get_running_loop()
    server: asyncio.Server
    if family == socket.AF_UNIX:
        server = await loop.create_unix_server(backend._accept, path)
    else:
        server = await loop.create_server(backend._accept, "::1", 0)
        backend.port = server.sockets[0].getsockname()[1]
    try:
        yield backend
    finally:
        server.close()
        backend.disconnect()


@pytest.mark.guarantee("unix-socket")
@both
async def test_unix_sockets_work_on_both_sides(plane: str, unix: tuple[Backend, str], tmp_path: Path) -> None:
    backend, address = unix
    listen = f"unix:{tmp_path}/plane.sock"
    async with running(listen=listen, plane=plane, versions={"v1": {"upstream": address}}) as stand:
        assert stand.address == listen
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_unix_connection(lambda: Peer(None), f"{tmp_path}/plane.sock")
        assert (await peer.unary(b"x")).messages == [b"x"]
        peer.close()
    if plane == "native":
        assert values(backend.call.headers, AUTHORITY) == values(request_headers(), AUTHORITY)
    assert not (tmp_path / "plane.sock").exists()


async def test_what_a_dead_process_left_at_the_path_is_replaced(
    unix: tuple[Backend, str], tmp_path: Path
) -> None:
    _, address = unix
    listen = f"unix:{tmp_path}/plane.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/plane.sock")
    async with running(listen=listen, plane="native", versions={"v1": {"upstream": address}}):
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_unix_connection(lambda: Peer(None), f"{tmp_path}/plane.sock")
        assert (await peer.unary(b"x")).status == "0"
        peer.close()


@pytest.mark.guarantee("ipv6")
@both
async def test_ipv6_works_on_both_sides(plane: str) -> None:
    async with listening(family=socket.AF_INET6) as backend:
        versions = {"v1": {"upstream": f"[::1]:{backend.port}"}}
        async with running(listen="[::1]:0", plane=plane, versions=versions) as stand:
            assert stand.address == f"[::1]:{stand.port}"
            loop = asyncio.get_running_loop()
            _, peer = await loop.create_connection(lambda: Peer(None), "::1", stand.port)
            assert (await peer.unary(b"x")).messages == [b"x"]
            peer.close()


@pytest.mark.guarantee("forwarded-for")
@both
@pytest.mark.parametrize("family", ["ipv4", "ipv6", "unix"])
async def test_the_model_server_is_told_the_clients_address(plane: str, family: str, tmp_path: Path) -> None:
    listen = {"ipv4": "127.0.0.1:0", "ipv6": "[::1]:0", "unix": f"unix:{tmp_path}/plane.sock"}[family]
    told = {"ipv4": ["127.0.0.1"], "ipv6": ["::1"], "unix": []}[family]
    forged = [("x-forwarded-for", "6.6.6.6")]
    loop = asyncio.get_running_loop()
    async with listening(family=socket.AF_INET6) as backend:
        versions = {"v1": {"upstream": f"[::1]:{backend.port}"}}
        for forward in (True, False):
            async with running(
                listen=listen, plane=plane, versions=versions, forward_client_address=forward
            ) as stand:
                if family == "unix":
                    _, peer = await loop.create_unix_connection(lambda: Peer(None), f"{tmp_path}/plane.sock")
                else:
                    host = "::1" if family == "ipv6" else "127.0.0.1"
                    _, peer = await loop.create_connection(lambda: Peer(None), host, stand.port)
                assert (await peer.unary(b"x", forged)).messages == [b"x"]
                peer.close()
            arrived = values(backend.calls[-1].headers, "x-forwarded-for")
            assert arrived == (told if forward else ["6.6.6.6"])
