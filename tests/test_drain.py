"""Going in order: calls under way end, new connections are refused, the process ends well."""

import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from running import PATIENCE, REQUEST, RESPONSE, Model, Process, dial, get, model, post, run, start

__all__ = ["model", "start"]  # fixtures

PLANES = pytest.mark.parametrize("plane", ["native", "grpcio"])
STREAM = "/test.Any/Stream"


class Echo(grpc.GenericRpcHandler):
    """Sends every message of a stream back."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return grpc.stream_stream_rpc_method_handler(lambda requests, context: requests)


@pytest.fixture
def echo() -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Echo()])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield address
    server.stop(0).wait(PATIENCE)


@pytest.fixture
def patient(tmp_path: Path) -> tuple[str, str]:
    """Arguments for who waits for calls as long as this machine may take for what a test does meanwhile."""
    path = tmp_path / "patient.yaml"
    path.write_text(f"drain: {PATIENCE:.0f}s\n")
    return "--config", str(path)


def refused(address: str, plane: str) -> bool:
    """Whether nobody listens any more. grpcio resets who connects while it closes its listener."""
    host, _, port = address.rpartition(":")
    try:
        with closing(socket.create_connection((host, int(port)), timeout=PATIENCE)):
            return False
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        if plane != "grpcio":
            raise
        return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline


@PLANES
def test_a_call_and_a_stream_under_way_end_and_new_connections_are_refused(
    start: Callable[..., Process], echo: str, plane: str, patient: tuple[str, str]
) -> None:
    process, running = run(start, echo, "--plane", plane, *patient)
    with grpc.insecure_channel(running["listen"]) as channel:
        sent: queue.Queue[bytes | None] = queue.Queue()
        stream = channel.stream_stream(STREAM)(iter(sent.get, None), timeout=PATIENCE)
        sent.put(b"before")
        assert next(stream) == b"before"
        process.signal(signal.SIGTERM)
        process.event("stopping")
        until(lambda: refused(running["listen"], plane))
        for message in (b"while", b"it drains"):
            sent.put(message)
            assert next(stream) == message
        assert not get_ready(running["admin"])
        sent.put(None)
        assert list(stream) == []
        assert stream.code() is grpc.StatusCode.OK
    assert process.event("stopped")["seconds"] < PATIENCE
    assert process.wait() == 0


@PLANES
def test_what_does_not_end_in_time_is_broken_off_and_the_process_ends_well(
    start: Callable[..., Process], model: tuple[Model, str], plane: str
) -> None:
    model[0].gate.clear()
    process = start(
        "run", "--upstream", model[1], "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--plane", plane
    )
    running = process.event("running")
    with dial(running["listen"]) as infer:
        call = infer.future(REQUEST, timeout=PATIENCE)
        assert model[0].inside.acquire(timeout=PATIENCE)
        begun = time.monotonic()
        process.signal(signal.SIGTERM)
        assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert process.wait() == 0
        # The default of `drain` is 5 s; what follows it has deadlines of its own.
        assert 4.5 < time.monotonic() - begun < 30


@PLANES
def test_a_hook_drains_before_the_signal_comes(
    start: Callable[..., Process], model: tuple[Model, str], plane: str, patient: tuple[str, str]
) -> None:
    process, running = run(start, model[1], "--plane", plane, *patient)
    assert start("health", "--admin", running["admin"]).wait() == 0
    model[0].gate.clear()
    with dial(running["listen"]) as infer:
        call = infer.future(REQUEST, timeout=PATIENCE)
        assert model[0].inside.acquire(timeout=PATIENCE)
        hook = start("drain", "--admin", running["admin"])
        until(lambda: refused(running["listen"], plane))
        assert hook.process.poll() is None, "it waits for the call"
        probe = start("health", "--admin", running["admin"])
        assert probe.wait() == 1
        assert "draining" in probe.output()
        assert start("health", "--live", "--admin", running["admin"]).wait() == 0
        model[0].gate.set()
        assert call.result() == RESPONSE
    assert hook.wait() == 0
    assert post(running["admin"], "/drain") == (200, {"drained": True})
    process.signal(signal.SIGTERM)
    process.event("stopped")
    assert process.wait() == 0


def test_readiness_is_the_data_path_and_not_the_model(start: Callable[..., Process]) -> None:
    process, running = run(start, "127.0.0.1:1")
    until(lambda: get(running["admin"], "/readyz")["upstreams"] == {"v1": "unreachable"})
    assert get(running["admin"], "/readyz")["status"] == "ok"
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_no_call_of_a_busy_client_is_lost_when_a_sidecar_is_replaced(
    start: Callable[..., Process], model: tuple[Model, str]
) -> None:
    """Clients know of two sidecars; one of them goes. gRPC sends again what a server has not begun with.

    Of the native plane alone: a server of grpcio cancels a call that arrives in the moment in which it stops.
    """
    first, one = run(start, model[1])
    second, two = run(start, model[1])
    target = "ipv4:" + ",".join(running["listen"] for running in (one, two))
    failed: list[grpc.RpcError] = []
    answered = threading.Semaphore(0)
    over = threading.Event()

    def call() -> None:
        options = [("grpc.lb_policy_name", "round_robin"), ("grpc.default_authority", "model")]
        with grpc.insecure_channel(target, options=options) as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            while not over.is_set():
                try:
                    infer(REQUEST, timeout=PATIENCE)
                    answered.release()
                except grpc.RpcError as error:
                    failed.append(error)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for _ in range(200):
        assert answered.acquire(timeout=PATIENCE)
    first.signal(signal.SIGTERM)
    first.event("stopped")
    for _ in range(200):
        assert answered.acquire(timeout=PATIENCE)
    over.set()
    for caller in callers:
        caller.join(PATIENCE)
    assert failed == []
    assert first.wait() == 0
    second.signal(signal.SIGTERM)
    assert second.wait() == 0


def test_nobody_who_connects_while_a_sidecar_goes_is_reset(
    start: Callable[..., Process], model: tuple[Model, str]
) -> None:
    """Who is connected is spoken to, who is not is refused: nothing between.

    Of the native plane alone: grpcio closes its listener with whoever waits in it.
    """
    process, running = run(start, model[1])
    host, _, port = running["listen"].rpartition(":")
    served = threading.Semaphore(0)
    ended: list[str] = []

    def knock() -> None:
        while True:
            try:
                with closing(socket.create_connection((host, int(port)), timeout=PATIENCE)) as client:
                    client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
                    if not client.recv(9):
                        return ended.append("closed without a word")
                served.release()
            except ConnectionRefusedError:
                return ended.append("refused")
            except OSError as error:
                return ended.append(repr(error))

    callers = [threading.Thread(target=knock) for _ in range(8)]
    for caller in callers:
        caller.start()
    for _ in range(500):
        assert served.acquire(timeout=PATIENCE)
    process.signal(signal.SIGTERM)
    for caller in callers:
        caller.join(PATIENCE)
    assert ended == ["refused"] * len(callers)
    assert process.wait() == 0


def get_ready(address: str) -> bool:
    try:
        return bool(get(address, "/readyz")["status"] == "ok")
    except OSError:
        return False
