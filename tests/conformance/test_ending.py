"""How calls end other than by a status: half-close, cancellation, reset, truncation, loss of connection."""

import h2.errors
import pytest

from conformance.http2 import (
    OK_TRAILERS,
    RESPONSE_HEADERS,
    Backend,
    Call,
    connected,
    framed,
    request_headers,
    values,
)

NO_ERROR = int(h2.errors.ErrorCodes.NO_ERROR)
CANCEL = int(h2.errors.ErrorCodes.CANCEL)
REFUSED = int(h2.errors.ErrorCodes.REFUSED_STREAM)
PLANE_ONLY = pytest.mark.parametrize("relay", ["grpcio", "native"], indirect=True)


@pytest.mark.guarantee("half-close")
async def test_the_end_of_the_request_arrives_before_the_response(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.until(lambda: "end" in call.events)
        await call.send_headers(RESPONSE_HEADERS)
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers())
        await call.send_data(framed(b"part"))
        await call.end()
        await call.until_over()
    assert call.status == "0"
    assert backend.call.reset is None


@pytest.mark.guarantee("cancel-upload")
async def test_60_cancelled_uploads_never_look_complete(relay: int, backend: Backend) -> None:
    backend.script = listening
    async with connected(relay) as client:
        for number in range(60):
            call = await client.begin(request_headers())
            await call.send_data(framed(b"part"))
            await backend.until(lambda number=number: sum(map(has_message, backend.calls)) > number)
            await call.send_reset(CANCEL)
        await backend.until(lambda: all(seen.over for seen in backend.calls))
    assert [seen.events for seen in backend.calls if "end" in seen.events] == []
    assert {seen.reset for seen in backend.calls} == {CANCEL}


@pytest.mark.guarantee("cancel")
@pytest.mark.parametrize("path", ["/test.Any/Call", "/inference.GRPCInferenceService/ModelInfer"])
async def test_cancelling_while_waiting_resets_the_call_at_the_backend(
    relay: int, backend: Backend, path: str
) -> None:
    backend.script = listening
    async with connected(relay) as client:
        call = await client.begin(request_headers(path))
        await call.send_data(framed(b"whole"), end=True)
        await backend.until(lambda: bool(backend.calls) and "end" in backend.call.events)
        await call.send_reset(CANCEL)
        await backend.until(lambda: backend.call.reset is not None)
    assert backend.call.reset == CANCEL


@pytest.mark.guarantee("cancel")
async def test_cancelling_after_the_first_response_message_stops_the_backend(
    relay: int, backend: Backend
) -> None:
    async def script(call: Call) -> None:
        await call.send_headers(RESPONSE_HEADERS)
        await call.send_data(framed(b"first"))

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers(), end=True)
        await call.until(lambda: call.messages == [b"first"])
        await call.send_reset(CANCEL)
        await backend.until(lambda: backend.call.reset is not None)
    assert backend.call.reset == CANCEL


@pytest.mark.guarantee("cancel-storm")
async def test_a_thousand_quick_cancels_leave_the_connection_usable(relay: int, backend: Backend) -> None:
    backend.script = listening
    async with connected(relay) as client:
        for _ in range(1000):
            call = await client.begin(request_headers())
            await call.send_reset(CANCEL)
        backend.script = answering
        answer = await client.unary(b"still here")
        assert not client.goaway
    assert (answer.status, answer.messages) == ("0", [b"still here"])


@pytest.mark.guarantee("early-response")
async def test_a_status_before_the_half_close_reaches_the_client(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.until(lambda: has_message(call))
        await call.send_headers(RESPONSE_HEADERS)
        await call.send_data(framed(b"enough"))
        await call.send_headers([("grpc-status", "8"), ("grpc-message", "enough")], end=True)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers())
        await call.send_data(framed(b"more to come"))
        await call.until_over()
    assert (call.status, call.messages) == ("8", [b"enough"])
    assert call.reset in (None, 0)


@pytest.mark.guarantee("early-response")
async def test_a_status_survives_the_reset_that_says_no_more_is_wanted(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.until(lambda: has_message(call))
        await call.send_headers([*RESPONSE_HEADERS, ("grpc-status", "8"), ("grpc-message", "full")], end=True)
        await call.send_reset(NO_ERROR)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers())
        await call.send_data(framed(b"more to come"))
        await call.until_over()
    assert (call.status, values(call.all_metadata, "grpc-message")) == ("8", ["full"])
    assert call.reset in (None, NO_ERROR)


@pytest.mark.guarantee("truncated")
async def test_a_truncated_message_does_not_become_a_whole_request(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_headers([*RESPONSE_HEADERS, ("grpc-status", "13")], end=True)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers())
        await call.send_data(framed(b"0123456789")[:9], end=True)
        await call.until_over()
    assert bytes(backend.call.data) == framed(b"0123456789")[:9]


@pytest.mark.guarantee("reset-code")
@pytest.mark.parametrize("code", [0, 2, 7, 8, 11])
async def test_the_code_of_a_reset_by_the_backend_arrives(relay: int, backend: Backend, code: int) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_reset(code)

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"")
    assert answer.reset == code


@pytest.mark.guarantee("reset-meaning")
@pytest.mark.parametrize(
    ("code", "status"), [(0, "13"), (2, "13"), (7, "14"), (8, "1"), (11, "8"), (12, "7")]
)
async def test_a_reset_by_the_backend_means_what_the_specification_says(
    relay: int, backend: Backend, code: int, status: str
) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_reset(code)

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"")
    assert answer.reset == code or answer.status == status
    assert len(backend.calls) == 1  # and nobody tried again


@pytest.mark.guarantee("deadline-expiry")
@PLANE_ONLY
@pytest.mark.parametrize("path", ["/test.Any/Call", "/inference.GRPCInferenceService/ModelInfer"])
async def test_an_expired_deadline_ends_the_call_on_both_sides(
    relay: int, backend: Backend, path: str
) -> None:
    backend.script = listening
    async with connected(relay) as client:
        answer = await client.unary(b"x", [("grpc-timeout", "100m")], path)
        await backend.until(lambda: backend.call.reset is not None)
    assert answer.status == "4" or answer.reset == CANCEL
    assert backend.call.reset == CANCEL


@pytest.mark.guarantee("connection-loss")
@PLANE_ONLY
@pytest.mark.parametrize("path", ["/test.Any/Call", "/inference.GRPCInferenceService/ModelInfer"])
async def test_a_lost_connection_to_the_backend_is_unavailable(
    relay: int, backend: Backend, path: str
) -> None:
    async def script(call: Call) -> None:
        await call.until(lambda: has_message(call))
        call.peer.close()

    backend.script = script
    async with connected(relay) as client:
        answer = await client.unary(b"x", path=path)
    assert answer.status == "14"


@pytest.mark.guarantee("goaway-unprocessed")
@pytest.mark.parametrize("relay", ["native", "grpcio"], indirect=True)
async def test_a_call_that_a_goodbye_did_not_look_at_may_be_sent_again(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        call.peer.say_goodbye(max(call.id - 2, 0))
        backend.script = answering

    async with connected(relay) as client:
        backend.script = answering
        await client.unary(b"first")
        backend.script = script
        call = await client.unary(b"second")
        # Sent again by the relay, which knows that it was not looked at, or by every gRPC client.
        assert call.status == "0" or call.reset == REFUSED


@pytest.mark.guarantee("upstream-down")
@PLANE_ONLY
async def test_a_backend_that_is_down_is_unavailable_at_once(relay: int, backend: Backend) -> None:
    await backend.stop()
    async with connected(relay) as client:
        await client.unary(b"")  # the plane may find out by this one
        answer = await client.unary(b"")
    assert answer.status == "14"
    assert values(answer.all_metadata, "grpc-message")[0].startswith("pilotfish:")
    await backend.start()


@pytest.mark.guarantee("deadline-none-left")
@PLANE_ONLY
@pytest.mark.parametrize("timeout", ["0S", "0n", "00000000H"])
async def test_no_time_at_all_is_a_deadline_exceeded(relay: int, backend: Backend, timeout: str) -> None:
    async with connected(relay) as client:
        answer = await client.unary(b"x", [("grpc-timeout", timeout)])
    assert answer.status == "4" or answer.reset == CANCEL


@pytest.mark.guarantee("goaway")
@PLANE_ONLY
async def test_a_backend_that_says_goodbye_is_invisible_to_clients(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        call.peer.say_goodbye(call.id)
        # python-h2 speaks no more on a connection it has closed: the answer is never given, the next call is.

    backend.script = script
    async with connected(relay) as client:
        lost = await client.begin(request_headers(), end=True)
        await backend.until(lambda: bool(backend.calls) and backend.call.over)
        backend.script = answering
        for _ in range(8):
            answer = await client.unary(b"x")
            if (
                answer.reset == REFUSED
            ):  # was on its way when the goodbye came; every gRPC client sends it again
                answer = await client.unary(b"x")
            assert answer.status == "0"
        assert not client.goaway
        if not lost.over:  # a plane may have noticed that its backend will not answer any more
            await lost.send_reset(CANCEL)


def has_message(call: Call) -> bool:
    return bool(call.messages)


async def listening(call: Call) -> None:
    """Read, and say nothing."""


async def answering(call: Call) -> None:
    await call.until_over()
    if call.reset is None and not call.lost:
        await call.reply(call.messages[0])
