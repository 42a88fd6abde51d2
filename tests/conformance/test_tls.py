"""TLS through both planes: who is spoken to, by whom, and what the model server is told of it."""

import asyncio
import contextlib
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from authority import Authority, Pair
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from conformance.http2 import Backend, Peer, request_headers, values
from pilotfish.testing.plane import RunningPlane, running

XFCC = "x-forwarded-client-cert"
AUTHORITY = ":authority"
FORGED = [(XFCC, "Hash=forged"), (XFCC, "Hash=forged-too")]

both = pytest.mark.parametrize("plane", ["grpcio", "native"])


def subject(**names: str) -> x509.Name:
    oids = {"country": NameOID.COUNTRY_NAME, "name": NameOID.COMMON_NAME}
    return x509.Name([x509.NameAttribute(oids[key], value) for key, value in names.items()])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    names = x509.UniformResourceIdentifier("spiffe://example/client"), x509.DNSName("client.example")
    return authority.pair(*names, subject=subject(country="CH", name="Zoë, the client"))


@asynccontextmanager
async def listening(
    plane: str,
    backend: Backend,
    authority: Authority,
    folder: Path,
    names: Sequence[x509.GeneralName] = (),
    **tls: Any,
) -> AsyncIterator[RunningPlane]:
    authority.pair(*names).write(folder)
    (folder / "ca.crt").write_bytes(authority.pem)
    files = {"certificate": str(folder / "tls.crt"), "key": str(folder / "tls.key")}
    versions = {"v1": {"upstream": f"127.0.0.1:{backend.port}"}}
    async with running(plane=plane, versions=versions, tls={**files, **tls}) as stand:
        yield stand


def context(authority: Authority, own: Pair | None = None, folder: Path | None = None) -> ssl.SSLContext:
    """A client's side."""
    made = ssl.create_default_context(cadata=authority.pem.decode())
    made.set_alpn_protocols(["h2"])
    if own is not None and folder is not None:
        own.write(folder, "client")
        made.load_cert_chain(folder / "client.crt", folder / "client.key")
    return made


@asynccontextmanager
async def connected(port: int, side: ssl.SSLContext) -> AsyncIterator[Peer]:
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_connection(
        lambda: Peer(None), "127.0.0.1", port, ssl=side, server_hostname="localhost"
    )
    try:
        yield peer
    finally:
        peer.close()


def agreed(peer: Peer) -> ssl.SSLObject:
    assert peer._transport is not None
    return peer._transport.get_extra_info("ssl_object")  # type: ignore[no-any-return]


@pytest.mark.guarantee("tls")
@both
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda it: it.name)
async def test_clients_speak_tls_and_agree_on_h2(
    plane: str, version: ssl.TLSVersion, backend: Backend, authority: Authority, tmp_path: Path
) -> None:
    side = context(authority)
    side.minimum_version = side.maximum_version = version
    async with listening(plane, backend, authority, tmp_path) as stand, connected(stand.port, side) as peer:
        assert agreed(peer).selected_alpn_protocol() == "h2"
        assert (await peer.unary(b"x")).messages == [b"x"]


@both
async def test_versions_below_1_2_are_refused(
    plane: str, backend: Backend, authority: Authority, tmp_path: Path
) -> None:
    side = context(authority)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        side.minimum_version = ssl.TLSVersion.TLSv1
        side.maximum_version = ssl.TLSVersion.TLSv1_1
    side.set_ciphers("DEFAULT@SECLEVEL=0")
    async with listening(plane, backend, authority, tmp_path) as stand:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with connected(stand.port, side):
                pass


async def test_a_client_that_wants_http1_is_refused(
    backend: Backend, authority: Authority, tmp_path: Path
) -> None:
    side = context(authority)
    side.set_alpn_protocols(["http/1.1"])
    async with listening("native", backend, authority, tmp_path) as stand:
        with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
            async with connected(stand.port, side):
                pass


@pytest.mark.guarantee("client-certificate")
@both
async def test_the_model_server_is_told_who_the_client_is(
    plane: str, backend: Backend, authority: Authority, client: Pair, tmp_path: Path
) -> None:
    tls = {"client_ca": str(tmp_path / "ca.crt"), "forward_client_certificate": True}
    async with (
        listening(plane, backend, authority, tmp_path, **tls) as stand,
        connected(stand.port, context(authority, client, tmp_path)) as peer,
    ):
        assert (await peer.unary(b"x", FORGED)).status == "0"
    shown = x509.load_pem_x509_certificate(client.certificate).fingerprint(hashes.SHA256()).hex()
    who = r"CN=Zo\C3\AB\, the client,C=CH"
    told = f'Hash={shown};Subject="{who}";URI=spiffe://example/client;DNS=client.example'
    assert values(backend.call.headers, XFCC) == [told]


@both
async def test_without_forwarding_the_header_is_one_like_any_other(
    plane: str, backend: Backend, authority: Authority, client: Pair, tmp_path: Path
) -> None:
    async with (
        listening(plane, backend, authority, tmp_path, client_ca=str(tmp_path / "ca.crt")) as stand,
        connected(stand.port, context(authority, client, tmp_path)) as peer,
    ):
        await peer.unary(b"x", FORGED)
    assert values(backend.call.headers, XFCC) == [value for _, value in FORGED]


async def test_who_shows_no_certificate_cannot_claim_to_have_one(
    backend: Backend, authority: Authority, tmp_path: Path
) -> None:
    tls = {
        "client_ca": str(tmp_path / "ca.crt"),
        "require_client_certificate": False,
        "forward_client_certificate": True,
    }
    async with (
        listening("native", backend, authority, tmp_path, **tls) as stand,
        connected(stand.port, context(authority)) as peer,
    ):
        await peer.unary(b"x", FORGED)
    assert values(backend.call.headers, XFCC) == []


@both
async def test_a_client_of_another_authority_is_refused(
    plane: str, backend: Backend, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority("another").pair()
    async with listening(plane, backend, authority, tmp_path, client_ca=str(tmp_path / "ca.crt")) as stand:
        # In TLS 1.3 a client learns after its own part that it is refused.
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            async with connected(stand.port, context(authority, stranger, tmp_path)) as peer:
                await (await peer.begin(request_headers(), end=True)).until_over()
                assert peer.lost
    assert backend.calls == []


@both
async def test_new_files_are_used_by_the_next_handshake_and_bad_ones_are_not(
    plane: str, backend: Backend, authority: Authority, tmp_path: Path
) -> None:
    """Replaced as kubelet does: the folder is a link that is exchanged."""
    folders = [tmp_path / name for name in ("first", "second", "third")]
    for folder in folders:
        authority.pair().write(folder)
    (folders[2] / "tls.key").write_bytes(authority.pair().key)
    mounted = tmp_path / "mounted"
    mounted.symlink_to(folders[0])
    tls = {"certificate": str(mounted / "tls.crt"), "key": str(mounted / "tls.key")}
    versions = {"v1": {"upstream": f"127.0.0.1:{backend.port}"}}
    async with (
        running(plane=plane, versions=versions, tls=tls) as stand,
        connected(stand.port, context(authority)) as old,
    ):
        for folder, event in ((folders[1], b"renewed"), (folders[2], b"refused")):
            swapped = tmp_path / "swapped"
            swapped.symlink_to(folder)
            swapped.rename(mounted)
            assert event in stand.certificates.look(int(time.time()))
            async with connected(stand.port, context(authority)) as new:
                shown = agreed(new).getpeercert(binary_form=True)
                assert shown is not None
                second = x509.load_pem_x509_certificate((folders[1] / "tls.crt").read_bytes())
                assert x509.load_der_x509_certificate(shown) == second
                assert (await new.unary(b"x")).status == "0"
        assert (await old.unary(b"x")).status == "0"


@pytest.mark.guarantee("tls-upstream")
@both
@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_a_model_server_is_spoken_to_over_mutual_tls(
    plane: str, kind: str, authority: Authority, client: Pair, tmp_path: Path
) -> None:
    authority.pair().write(tmp_path, "server")
    client.write(tmp_path)
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    side.verify_mode = ssl.CERT_REQUIRED
    side.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    side.set_alpn_protocols(["h2"])
    backend = Backend()
    loop = asyncio.get_running_loop()
    if kind == "tcp":
        server = await loop.create_server(backend._accept, "127.0.0.1", 0, ssl=side)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        server = await loop.create_unix_server(backend._accept, str(tmp_path / "model.sock"), ssl=side)
        address = f"unix:{tmp_path}/model.sock"
    tls = {"ca": "ca.crt", "certificate": "tls.crt", "key": "tls.key"}
    tls = {key: str(tmp_path / name) for key, name in tls.items()} | {"server_name": "localhost"}
    async with running(plane=plane, versions={"v1": {"upstream": address, "tls": tls}}) as stand:
        _, peer = await loop.create_connection(lambda: Peer(None), "127.0.0.1", stand.port)
        call = await peer.unary(b"x")
        peer.close()
    assert (call.status, call.messages) == ("0", [b"x"]), call.all_metadata
    if plane == "native":
        assert values(backend.call.headers, AUTHORITY) == values(request_headers(), AUTHORITY)
    server.close()
    backend.disconnect()


ENVOY = Path(__file__).parents[2] / ".peers" / "envoy" / "bin" / "envoy"


@asynccontextmanager
async def envoy(folder: Path, upstream: int) -> AsyncIterator[int]:
    """Envoy with the same certificates, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = (Path(__file__).parents[1] / "data" / "envoy_identity.yaml").read_text()
    for name, value in {"listen": port, "upstream": upstream, "folder": folder}.items():
        text = text.replace(f"@{name}@", str(value))
    (folder / "envoy.yaml").write_text(text)
    arguments = [
        "-c",
        str(folder / "envoy.yaml"),
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "-l",
        "error",
    ]
    process = await asyncio.create_subprocess_exec(str(ENVOY), *arguments)
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def patiently(port: int, side: ssl.SSLContext) -> AsyncIterator[Peer]:
    """A connection to a process that may not listen yet."""
    for _ in range(600):
        with contextlib.suppress(ConnectionError):
            async with connected(port, side) as peer:
                yield peer
                return
        await asyncio.sleep(0.05)
    raise ConnectionError(f"nobody listens on port {port}")


@pytest.mark.skipif(not ENVOY.exists(), reason="Envoy is not installed (make bench-tools)")
@pytest.mark.parametrize("own", ["with a URI", "without"])
async def test_envoy_says_the_same_of_a_client(
    own: str, backend: Backend, authority: Authority, tmp_path: Path
) -> None:
    """An oracle for every form of name."""
    name = x509.NameAttribute
    odd = [
        name(NameOID.COUNTRY_NAME, "CH"),
        name(NameOID.ORGANIZATION_NAME, ' #Zoë & "Söhne", <a+b>; c=d\\e '),
        name(NameOID.ORGANIZATIONAL_UNIT_NAME, "#1"),
        name(NameOID.EMAIL_ADDRESS, "a@b.example"),
        name(NameOID.STREET_ADDRESS, "Gasse 1"),
        name(NameOID.USER_ID, "uid"),
        name(NameOID.DOMAIN_COMPONENT, "example"),
        name(NameOID.SURNAME, "S"),
        name(NameOID.GIVEN_NAME, "G"),
        name(NameOID.TITLE, "T"),
        name(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), "unknown"),
    ]
    several = x509.RelativeDistinguishedName(
        [name(NameOID.COMMON_NAME, "a"), name(NameOID.SERIAL_NUMBER, "7")]
    )
    clients = [
        authority.pair(subject=x509.Name([*(x509.RelativeDistinguishedName([one]) for one in odd), several])),
        authority.pair(x509.UniformResourceIdentifier("x:a"), x509.UniformResourceIdentifier("x:b?c=d")),
        authority.pair(x509.DNSName("a.example"), x509.DNSName("b.example"), x509.RFC822Name("a@b.example")),
    ]
    tls = {"client_ca": str(tmp_path / "ca.crt"), "forward_client_certificate": True}
    uri = [x509.UniformResourceIdentifier("spiffe://example/own")] if own == "with a URI" else []
    async with (
        listening(
            "native", backend, authority, tmp_path, names=[x509.DNSName("localhost"), *uri], **tls
        ) as stand,
        envoy(tmp_path, backend.port) as port,
    ):
        for client in clients:
            for to in (stand.port, port):
                async with patiently(to, context(authority, client, tmp_path)) as peer:
                    assert (await peer.unary(b"x", FORGED)).status == "0"
    told = sorted(value for call in backend.calls for value in values(call.headers, XFCC))
    assert len(told) == 2 * len(clients)
    assert told[::2] == told[1::2]
