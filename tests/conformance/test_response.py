"""What the client sees of a response: status, metadata, and the frames they travel in."""

import base64
from urllib.parse import unquote

import pytest

from conformance.http2 import (
    OK_TRAILERS,
    RESPONSE_HEADERS,
    Backend,
    Call,
    Headers,
    Peer,
    Script,
    connected,
    framed,
    request_headers,
    values,
)


def refusing(trailers: Headers) -> Script:
    """A backend that answers with one frame: Trailers-Only."""

    async def script(call: Call) -> None:
        await call.send_headers(RESPONSE_HEADERS + trailers, end=True)

    return script


@pytest.mark.guarantee("status")
@pytest.mark.parametrize("code", range(1, 17))
async def test_every_status_arrives_with_its_message(relay: int, backend: Backend, code: int) -> None:
    backend.script = refusing([("grpc-status", str(code)), ("grpc-message", f"no {code}")])
    async with connected(relay) as client:
        answer = await client.unary(b"")
    assert answer.status == str(code)
    assert values(answer.all_metadata, "grpc-message") == [f"no {code}"]


@pytest.mark.guarantee("status-message-utf8")
async def test_a_utf8_message_arrives(relay: int, backend: Backend) -> None:
    backend.script = refusing([("grpc-status", "9"), ("grpc-message", "%E2%82%AC 100%25 \t\\")])
    async with connected(relay) as client:
        answer = await client.unary(b"")
    (message,) = values(answer.all_metadata, "grpc-message")
    assert unquote(message) == "\u20ac 100% \t\\"


@pytest.mark.guarantee("status-details")
async def test_status_details_arrive_with_the_same_bytes(relay: int, backend: Backend) -> None:
    details = bytes(range(256))
    encoded = base64.b64encode(details).decode().rstrip("=")
    backend.script = refusing([("grpc-status", "3"), ("grpc-status-details-bin", encoded)])
    async with connected(relay) as client:
        answer = await client.unary(b"")
    (arrived,) = values(answer.all_metadata, "grpc-status-details-bin")
    assert base64.b64decode(arrived + "=" * (-len(arrived) % 4)) == details


@pytest.mark.guarantee("status-message-ok")
async def test_a_message_beside_ok_arrives(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.reply(b"", [("grpc-status", "0"), ("grpc-message", "fine")])

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"")
    assert values(answer.trailers, "grpc-message") == ["fine"]


@pytest.mark.guarantee("status-unknown")
async def test_a_status_beyond_the_known_ones_arrives(relay: int, backend: Backend) -> None:
    backend.script = refusing([("grpc-status", "99")])
    async with connected(relay) as client:
        answer = await client.unary(b"")
    assert answer.status == "99"


@pytest.mark.guarantee("status-immediate")
async def test_300_immediate_refusals_all_arrive_as_sent(relay: int, backend: Backend) -> None:
    backend.script = refusing([("grpc-status", "8"), ("grpc-message", "full"), ("x-why", "quota")])
    async with connected(relay) as client:
        answers = [await refused(client) for _ in range(300)]
    seen = {
        (answer.status, *values(answer.all_metadata, "grpc-message"), *values(answer.all_metadata, "x-why"))
        for answer in answers
    }
    assert seen == {("8", "full", "quota")}


@pytest.mark.guarantee("status-immediate")
async def test_300_messages_with_an_immediate_status_all_arrive(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.send_headers([*RESPONSE_HEADERS, ("x-first", "1")])
        await call.send_data(framed(b"one") + framed(b"two"))
        await call.send_headers([("grpc-status", "8"), ("grpc-message", "full")], end=True)

    backend.script = script
    async with connected(relay) as client:
        answers = [await refused(client) for _ in range(300)]
    assert {(answer.status, *answer.messages) for answer in answers} == {("8", b"one", b"two")}
    assert {tuple(values(answer.headers, "x-first")) for answer in answers} == {("1",)}


async def refused(client: Peer) -> Call:
    """A call that keeps sending while it is being refused."""
    call = await client.begin(request_headers())
    for _ in range(3):
        await call.send_data(framed(b"x" * 100))
    await call.until_over()
    if "end" in call.events and call.reset is None:
        await call.end()
    return call


@pytest.mark.guarantee("trailers-only")
@pytest.mark.parametrize("path", ["/test.Any/Call", "/inference.GRPCInferenceService/ModelInfer"])
async def test_an_error_in_one_frame_stays_one_frame(relay: int, backend: Backend, path: str) -> None:
    backend.script = refusing([("grpc-status", "5"), ("x-b", "2")])
    async with connected(relay) as client:
        for _ in range(20):
            answer = await client.unary(b"x", path=path)
            assert answer.events == ["headers", "end"]
            assert (answer.status, values(answer.headers, "x-b")) == ("5", ["2"])


@pytest.mark.guarantee("initial-with-status")
@pytest.mark.parametrize("path", ["/test.Any/Call", "/inference.GRPCInferenceService/ModelInfer"])
async def test_initial_metadata_survives_when_the_status_comes_with_it(
    relay: int, backend: Backend, path: str
) -> None:
    async def script(call: Call) -> None:
        await call.peer.until(lambda: call.over)
        connection = call.peer.connection
        for headers, end in (
            ([*RESPONSE_HEADERS, ("x-first", "1")], False),
            ([("grpc-status", "7"), ("x-last", "2")], True),
        ):
            connection.send_headers(call.id, headers, end_stream=end)  # both in one packet
        call.peer.flush()

    backend.script = script
    async with connected(relay) as client:
        for _ in range(100):
            answer = await client.unary(b"x", path=path)
            assert values(answer.headers, "x-first") == ["1"]
            assert (answer.status, values(answer.trailers, "x-last")) == ("7", ["2"])


@pytest.mark.guarantee("early-headers")
@pytest.mark.parametrize("extra", [[], [("x-early", "1")]], ids=["empty", "with-metadata"])
async def test_headers_are_forwarded_before_any_message(relay: int, backend: Backend, extra: Headers) -> None:
    async def script(call: Call) -> None:
        await call.send_headers(RESPONSE_HEADERS + extra)
        await call.until_over()
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers())
        await call.until(lambda: "headers" in call.events)
        assert "trailers" not in call.events
        for entry in extra:
            assert entry in call.headers
        await call.end()
        await call.until_over()
    assert call.status == "0"


@pytest.mark.guarantee("response-metadata")
@pytest.mark.parametrize("path", ["/test.Any/Call", "/inference.GRPCInferenceService/ModelInfer"])
async def test_response_metadata_arrives_with_duplicates_in_its_place(
    relay: int, backend: Backend, path: str
) -> None:
    first: Headers = [("x-a", "1"), ("x-a", "2"), ("x-blob-bin", "AAEC")]
    last: Headers = [("x-t", "3"), ("x-u", ""), ("x-t", "4"), ("x-t", "3")]

    async def script(call: Call) -> None:
        await call.until_over()
        await call.reply(b"y", [*OK_TRAILERS, *last], [*RESPONSE_HEADERS, *first])

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"x", path=path)
    assert answer.messages == [b"y"]
    for key in {key for key, _ in first}:
        assert values(answer.headers, key) == values(first, key)
    for key in {key for key, _ in last}:
        assert values(answer.trailers, key) == values(last, key)


@pytest.mark.guarantee("response-metadata-odd")
@pytest.mark.parametrize("place", ["headers", "trailers"])
@pytest.mark.parametrize("path", ["/test.Any/Call", "/inference.GRPCInferenceService/ModelInfer"])
async def test_response_values_outside_printable_ascii_arrive(
    relay: int, backend: Backend, place: str, path: str
) -> None:
    odd = [("x-odd", "a\tb")]

    async def script(call: Call) -> None:
        await call.until_over()
        headers = RESPONSE_HEADERS + (odd if place == "headers" else [])
        await call.reply(b"y", OK_TRAILERS + (odd if place == "trailers" else []), headers)

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"x", path=path)
    assert (answer.status, answer.messages) == ("0", [b"y"])
    assert values(answer.all_metadata, "x-odd") == ["a\tb"]


@pytest.mark.guarantee("response-metadata-control")
@pytest.mark.parametrize("value", ["a\x7fb", "a\x1bb"], ids=["del", "esc"])
async def test_control_characters_in_a_response_arrive(relay: int, backend: Backend, value: str) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.reply(b"y", [*OK_TRAILERS, ("x-odd", value)])

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"x")
    assert (answer.status, answer.messages) == ("0", [b"y"])
    assert values(answer.trailers, "x-odd") == [value]


@pytest.mark.guarantee("load-report")
@pytest.mark.parametrize("key", ["endpoint-load-metrics-bin", "grpc-server-stats-bin"])
async def test_load_reports_in_trailers_arrive(relay: int, backend: Backend, key: str) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.reply(b"", [("grpc-status", "0"), (key, "CQAAAAAAAOA/")])

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"")
    assert values(answer.trailers, key) == ["CQAAAAAAAOA/"]


@pytest.mark.guarantee("retry-pushback")
async def test_retry_pushback_arrives(relay: int, backend: Backend) -> None:
    backend.script = refusing([("grpc-status", "14"), ("grpc-retry-pushback-ms", "250")])
    async with connected(relay) as client:
        answer = await client.unary(b"")
    assert (answer.status, values(answer.all_metadata, "grpc-retry-pushback-ms")) == ("14", ["250"])


@pytest.mark.guarantee("http-status")
@pytest.mark.parametrize("status", ["400", "401", "403", "404", "429", "503"])
async def test_a_response_other_than_200_arrives_raw(relay: int, backend: Backend, status: str) -> None:
    async def script(call: Call) -> None:
        await call.send_headers([(":status", status), ("content-type", "text/plain")])
        await call.send_data(b"sorry", end=True)

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"")
    assert values(answer.headers, ":status") == [status]
    assert bytes(answer.data) == b"sorry"


@pytest.mark.guarantee("http-status-mapped")
@pytest.mark.parametrize(
    ("status", "code"),
    [("400", "13"), ("401", "16"), ("403", "7"), ("404", "12"), ("429", "14"), ("503", "14"), ("418", "2")],
)
async def test_a_response_other_than_200_means_what_the_mapping_says(
    relay: int, backend: Backend, status: str, code: str
) -> None:
    async def script(call: Call) -> None:
        await call.send_headers([(":status", status), ("content-type", "text/plain")], end=True)

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"")
    arrived = values(answer.headers, ":status")
    assert (answer.status == code) if arrived == ["200"] else (arrived == [status])


@pytest.mark.guarantee("no-status")
@pytest.mark.parametrize("place", ["headers", "data"])
async def test_an_answer_without_status_is_no_success(relay: int, backend: Backend, place: str) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_headers(RESPONSE_HEADERS, end=place == "headers")
        if place == "data":
            await call.send_data(framed(b"y"), end=True)

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"x")
    assert answer.status in (None, "2", "13")  # None: as it came; a client makes one of these of it
