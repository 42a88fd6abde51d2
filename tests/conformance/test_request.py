"""What the backend sees of a request."""

import asyncio
import base64

import grpc
import pytest

from conformance import flood
from conformance.flood import flooder, frame
from conformance.http2 import PATIENCE, Backend, Call, connected, framed, request_headers, values


@pytest.mark.guarantee("path")
@pytest.mark.parametrize("path", ["/weird", "/a/b/c?x=1", "/Pkg.Svc/MiXed", "/p.S/M%20x"])
async def test_any_path_arrives_verbatim(relay: int, backend: Backend, path: str) -> None:
    async with connected(relay) as client:
        answer = await client.unary(b"hello", path=path)
    assert answer.status == "0"
    assert values(backend.call.headers, ":path") == [path]


@pytest.mark.guarantee("authority")
async def test_authority_arrives_verbatim(relay: int, backend: Backend) -> None:
    async with connected(relay) as client:
        await client.unary(b"")
    assert values(backend.call.headers, ":authority") == ["model.example:8001"]


# As grpcio writes a target of several addresses, and what else is no authority of a URI.
LISTS = [
    "10.0.0.1:8001,10.0.0.2:8001",
    "[::1]:8001,[::2]:8001",
    "%2Ftmp%2Fmodel.sock",
    # Longer than what a table of header fields takes in.
    ",".join(f"10.0.{host}.1:8001" for host in range(256)),
]


@pytest.mark.guarantee("authority-list")
@pytest.mark.parametrize("several", LISTS)
async def test_an_authority_of_several_addresses_arrives_verbatim(
    relay: int, backend: Backend, several: str
) -> None:
    async with connected(relay) as client:
        for message in (b"", b"x" * 200_000):
            answer = await client.unary(message, [(":authority", several)])
            assert (answer.status, answer.messages) == ("0", [message])
            assert values(backend.calls[-1].headers, ":authority") == [several]
        await client.unary(b"")
    assert values(backend.calls[-1].headers, ":authority") == ["model.example:8001"]


CODED_AUTHORITY = bytes.fromhex("b83b5339ec327d7f")
POST, HTTP = b"\x83", b"\x86"
FIELDS = b"\x00\x02te\x08trailers\x0f\x10\x10application/grpc"
"""Not to be remembered, as the path below."""


def block(authority: bytes) -> bytes:
    return POST + HTTP + b"\x04\x0e/test.Any/Call" + authority + FIELDS


def literal(name: bytes, value: str) -> bytes:
    """To be remembered, not Huffman coded."""
    return name + bytes([len(value)]) + value.encode()


NAMES = {"by-index": b"\x41", "in-letters": b"\x40\x0a:authority", "coded": b"\x40\x88" + CODED_AUTHORITY}


@pytest.mark.guarantee("authority-list")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cut", [0, 1, 20, 30, 45])
async def test_an_authority_arrives_verbatim_however_its_block_is_written(
    relay: int, backend: Backend, name: str, cut: int
) -> None:
    """Its name in letters or in an entry of the table, in CONTINUATION, whole or in part."""
    first, second = LISTS[:2]
    blocks = [
        block(literal(NAMES[name], first)),
        block(b"\xbe"),  # the newest entry of the table
        block(literal(b"\x7e", second)),  # named by it
        block(b"\xbf"),  # the one before the newest
    ]
    async with flooder(relay) as client:
        for number, whole in enumerate(blocks):
            stream = 2 * number + 1
            if cut:
                await client.send(frame(flood.HEADERS, stream, whole[:cut], flood.END_STREAM))
                await client.send(frame(flood.CONTINUATION, stream, whole[cut:], flood.END_HEADERS))
            else:
                await client.send(frame(flood.HEADERS, stream, whole, flood.END_STREAM | flood.END_HEADERS))
            await backend.until(lambda number=number: len(backend.calls) == number + 1)
            assert values(backend.calls[-1].headers, ":authority") == [second if number == 2 else first]
    assert client.resets() == []


@pytest.mark.guarantee("te")
async def test_te_trailers_is_sent(relay: int, backend: Backend) -> None:
    async with connected(relay) as client:
        await client.unary(b"")
    assert values(backend.call.headers, "te") == ["trailers"]


@pytest.mark.guarantee("content-type")
async def test_content_type_suffix_survives_both_ways(relay: int, backend: Backend) -> None:
    async def script(call) -> None:
        await call.until_over()
        await call.reply(b"", headers=[(":status", "200"), ("content-type", "application/grpc+json")])

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"", [("content-type", "application/grpc+json")])
    assert values(backend.call.headers, "content-type") == ["application/grpc+json"]
    assert values(answer.headers, "content-type") == ["application/grpc+json"]


@pytest.mark.guarantee("user-agent")
async def test_user_agent_arrives_verbatim(relay: int, backend: Backend) -> None:
    async with connected(relay) as client:
        await client.unary(b"", [("user-agent", "grpc-go/1.70.0")])
    assert values(backend.call.headers, "user-agent") == ["grpc-go/1.70.0"]


@pytest.mark.guarantee("accept-encoding")
async def test_the_encodings_a_client_accepts_arrive_verbatim(relay: int, backend: Backend) -> None:
    async with connected(relay) as client:
        await client.unary(b"", [("grpc-accept-encoding", "zstd,br")])
    assert values(backend.call.headers, "grpc-accept-encoding") == ["zstd,br"]


@pytest.mark.guarantee("timeout")
@pytest.mark.parametrize(("sent", "seconds"), [("1S", 1.0), ("2500m", 2.5), ("30S", 30.0), ("1H", 3600.0)])
async def test_the_deadline_arrives_and_grows_by_rounding_at_most(
    relay: int, backend: Backend, sent: str, seconds: float
) -> None:
    async with connected(relay) as client:
        await client.unary(b"", [("grpc-timeout", sent)])
    (arrived,) = values(backend.call.headers, "grpc-timeout")
    units = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
    assert seconds * 0.5 < int(arrived[:-1]) * units[arrived[-1]] <= seconds * 1.02
    assert len(arrived) <= 9


@pytest.mark.guarantee("timeout-longest")
async def test_the_longest_deadline_does_not_expire_at_once(relay: int, backend: Backend) -> None:
    async with connected(relay) as client:
        answer = await client.unary(b"x", [("grpc-timeout", "99999999H")])
    assert (answer.status, answer.messages) == ("0", [b"x"])
    (arrived,) = values(backend.call.headers, "grpc-timeout")
    assert int(arrived[:-1]) * {"H": 1, "M": 1 / 60}[arrived[-1]] > 500  # hours


@pytest.mark.guarantee("timeout")
@pytest.mark.parametrize("relay", ["direct", "native"], indirect=True)
@pytest.mark.parametrize("sent", ["2500m", "99999999n", "12345678u", "10S"])
async def test_the_deadline_never_grows(relay: int, backend: Backend, sent: str) -> None:
    async with connected(relay) as client:
        await client.unary(b"", [("grpc-timeout", sent)])
    (arrived,) = values(backend.call.headers, "grpc-timeout")
    units = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
    assert int(arrived[:-1]) * units[arrived[-1]] <= int(sent[:-1]) * units[sent[-1]]
    assert len(arrived) <= 9


@pytest.mark.guarantee("timeout-malformed")
@pytest.mark.parametrize("sent", ["1x", "S", "123456789S", "-1S"])
async def test_a_malformed_deadline_is_the_backends_to_judge(relay: int, backend: Backend, sent: str) -> None:
    async with connected(relay) as client:
        answer = await client.unary(b"x", [("grpc-timeout", sent)])
    assert answer.status == "0"
    assert values(backend.call.headers, "grpc-timeout") == [sent]


@pytest.mark.guarantee("te-absent")
async def test_a_request_without_te_arrives_as_it_is(relay: int, backend: Backend) -> None:
    async with connected(relay) as client:
        headers = [entry for entry in request_headers() if entry[0] != "te"]
        call = await client.begin(headers)
        await call.send_data(framed(b"x"), end=True)
        await call.until_over()
    assert (call.status, call.messages) == ("0", [b"x"])
    assert values(backend.call.headers, "te") == []


@pytest.mark.guarantee("method")
async def test_a_request_that_is_no_post_arrives(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_headers([(":status", "405"), ("allow", "POST")], end=True)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers(extra=[(":method", "GET")]), end=True)
        await call.until_over()
    assert values(backend.call.headers, ":method") == ["GET"]
    assert values(call.headers, ":status") == ["405"]


@pytest.mark.guarantee("authority-list")
async def test_a_client_of_grpcio_that_knows_several_addresses_is_answered(
    relay: int, backend: Backend
) -> None:
    several = f"127.0.0.1:{relay},127.0.0.1:{relay}"
    async with grpc.aio.insecure_channel(f"ipv4:{several}") as channel:
        for message in (b"one", b"two"):
            assert await channel.unary_unary("/test.Any/Call")(message, timeout=PATIENCE) == message
    assert [values(call.headers, ":authority") for call in backend.calls] == [[several]] * 2


@pytest.mark.guarantee("scheme")
@pytest.mark.parametrize("scheme", ["https"])
async def test_the_scheme_arrives_verbatim(relay: int, backend: Backend, scheme: str) -> None:
    async with connected(relay) as client:
        answer = await client.unary(b"", [(":scheme", scheme)])
    assert answer.status == "0"
    assert values(backend.call.headers, ":scheme") == [scheme]


@pytest.mark.guarantee("isolation")
@pytest.mark.parametrize(
    "odd",
    [("x-blob-bin", "%%%"), ("x-blob-bin", "A"), ("x-a", "\x80\xff"), ("grpc-timeout", "x")],
    ids=["no-base64", "short-base64", "not-ascii", "no-timeout"],
)
async def test_one_clients_odd_metadata_harms_no_other_client(
    relay: int, backend: Backend, odd: tuple[str, str]
) -> None:
    """CVE-2024-7246, CVE-2023-32732: both may share a connection to the backend, and its HPACK table."""
    async with connected(relay) as stranger, connected(relay) as bystander:
        for number in range(20):
            own = [("x-own", f"value {number}"), ("x-secret", "s" * 40)]
            harmless = await bystander.begin(request_headers("/other/Call", own))
            await stranger.unary(b"odd", [odd, (f"x-fill-{number}", "f" * 100)])
            await harmless.send_data(framed(b"mine"), end=True)
            await harmless.until_over()
            assert (harmless.status, harmless.messages) == ("0", [b"mine"])
        assert not bystander.goaway
    arrived = [call for call in backend.calls if values(call.headers, ":path") == ["/other/Call"]]
    own_values = sorted(int(values(call.headers, "x-own")[0].split()[1]) for call in arrived)
    assert own_values == list(range(20))
    assert {tuple(values(call.headers, "x-secret")) for call in arrived} == {("s" * 40,)}


@pytest.mark.guarantee("isolation")
async def test_one_clients_invalid_metadata_harms_no_other_client(relay: int, backend: Backend) -> None:
    async with connected(relay) as bystander:
        own = await bystander.begin(request_headers("/other/Call"))
        for _ in range(3):
            async with connected(relay) as stranger:
                # At once: a connection that is ended for it takes no data any more.
                call = await stranger.begin(
                    request_headers("/test.Any/Call", [("x-odd", "a\x7fb")]), end=True
                )
                await call.until_over()
        await own.send_data(framed(b"mine"), end=True)
        await own.until_over()
        assert not bystander.goaway
    assert (own.status, own.messages) == ("0", [b"mine"])


@pytest.mark.guarantee("http-1")
async def test_http_1_is_refused_and_not_left_waiting(relay: int, backend: Backend) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay)
    writer.write(b"POST /test.Any/Call HTTP/1.1\r\nhost: model\r\ncontent-length: 0\r\n\r\n")
    await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    assert backend.calls == []


@pytest.mark.guarantee("metadata")
async def test_metadata_arrives_with_duplicates_in_order(relay: int, backend: Backend) -> None:
    sent = [
        ("x-a", "1"),
        ("x-b", "other"),
        ("x-a", "2"),
        ("x-a", "1"),
        ("x-empty", ""),
        ("x-punct", 'a,b;c="d" ~'),
    ]
    async with connected(relay) as client:
        await client.unary(b"", sent)
    for key in {key for key, _ in sent}:
        assert values(backend.call.headers, key) == values(sent, key)


@pytest.mark.guarantee("metadata-odd")
@pytest.mark.parametrize("value", ["caf\xc3\xa9", "a\tb"], ids=["utf8", "tab"])
async def test_values_outside_printable_ascii_arrive(relay: int, backend: Backend, value: str) -> None:
    async with connected(relay) as client:
        answer = await client.unary(b"x", [("x-odd", value)])
    assert answer.status == "0"
    assert values(backend.call.headers, "x-odd") == [value]


@pytest.mark.guarantee("metadata-control")
@pytest.mark.parametrize("value", ["a\x7fb", "a\x1bb"], ids=["del", "esc"])
async def test_control_characters_arrive(relay: int, backend: Backend, value: str) -> None:
    async with connected(relay) as client:
        answer = await client.unary(b"x", [("x-odd", value)])
    assert answer.status == "0"
    assert values(backend.call.headers, "x-odd") == [value]


@pytest.mark.guarantee("metadata-binary")
@pytest.mark.parametrize("padding", ["", "="], ids=["unpadded", "padded"])
async def test_binary_metadata_arrives_with_the_same_bytes(
    relay: int, backend: Backend, padding: str
) -> None:
    sent = [bytes(range(256)) * 1 + b"\x00\xff", b"\x01\x02\x03\x04\x05"]
    headers = [("x-blob-bin", base64.b64encode(value).decode().rstrip("=")) for value in sent]
    if padding:
        headers = [("x-blob-bin", base64.b64encode(value).decode()) for value in sent]
    async with connected(relay) as client:
        answer = await client.unary(b"x", headers)
    assert answer.status == "0"
    arrived = values(backend.call.headers, "x-blob-bin")
    assert [base64.b64decode(value + "=" * (-len(value) % 4)) for value in arrived] == sent


@pytest.mark.guarantee("metadata-binary-joined")
async def test_joined_binary_values_arrive(relay: int, backend: Backend) -> None:
    async with connected(relay) as client:
        answer = await client.unary(b"x", [("x-blob-bin", "AQ,Ag")])
    assert answer.status == "0"
    assert ",".join(values(backend.call.headers, "x-blob-bin")) == "AQ,Ag"


@pytest.mark.guarantee("trace-context")
async def test_w3c_trace_context_arrives_verbatim(relay: int, backend: Backend) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with connected(relay) as client:
        await client.unary(b"", [("traceparent", parent), ("tracestate", "vendor=1")])
    assert values(backend.call.headers, "traceparent") == [parent]
    assert values(backend.call.headers, "tracestate") == ["vendor=1"]


@pytest.mark.guarantee("trace-binary")
@pytest.mark.parametrize("key", ["grpc-trace-bin", "grpc-tags-bin"])
async def test_census_context_arrives(relay: int, backend: Backend, key: str) -> None:
    async with connected(relay) as client:
        await client.unary(b"", [(key, "AAECAw")])
    assert values(backend.call.headers, key) == ["AAECAw"]


@pytest.mark.guarantee("retry-attempts")
async def test_the_number_of_previous_attempts_arrives(relay: int, backend: Backend) -> None:
    async with connected(relay) as client:
        await client.unary(b"", [("grpc-previous-rpc-attempts", "2")])
    assert values(backend.call.headers, "grpc-previous-rpc-attempts") == ["2"]


@pytest.mark.guarantee("header-size")
@pytest.mark.parametrize("size", [7_900, 8_100, 15_900, 16_500, 64_000])
async def test_large_metadata_arrives_both_ways(relay: int, backend: Backend, size: int) -> None:
    async def script(call) -> None:
        await call.until_over()
        await call.reply(b"", [("grpc-status", "0"), ("x-large", "t" * size)])

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"", [("x-large", "r" * size)])
    assert values(backend.call.headers, "x-large") == ["r" * size]
    assert values(answer.trailers, "x-large") == ["t" * size]


@pytest.mark.guarantee("no-push")
async def test_server_push_is_switched_off(relay: int, backend: Backend) -> None:
    async with connected(relay) as client:
        await client.unary(b"")
    assert backend.call.peer.connection.remote_settings.enable_push == 0
