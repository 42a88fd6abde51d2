"""The life of a sidecar: how its parts start and stop, and how the process behaves."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from running import PATIENCE, REQUEST, RESPONSE, Model, Process, dial, get, model, run, start

from pilotfish import app, port, profile
from pilotfish.errors import AddressInUse, ConfigurationError
from pilotfish.settings import Beginning, Source
from pilotfish.testing.model import infer_request

__all__ = ["model", "start"]  # fixtures


# === parts ===


class Recorder:
    """Stands in for every part, notes what is asked of them, and fails where it is told to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.failing: set[str] = set()

    def note(self, event: str, result: Any = None) -> Any:
        self.log.append(event)
        if event in self.failing:
            raise RuntimeError(f"{event} failed")
        return result


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    note = recorder.note

    class Engine:
        def flush(self, timeout: float) -> bool:
            return bool(note("engine flush", True))

        def close(self) -> None:
            note("engine close")

    class Telemetry:
        def __init__(self, *_: object, **__: object) -> None: ...
        def start(self) -> None:
            note("telemetry start")

        tracing = False

        def keep(self, _: object) -> None: ...
        def alarm(self, _: object) -> None: ...
        def event(self, *_: object) -> None: ...
        def shutdown(self, deadline: float) -> bool:
            return bool(note("telemetry stop", True))

    class Journal:
        def __init__(self, *_: object) -> None: ...
        def start(self) -> None:
            note("journal start")

        def keep(self, _: object) -> None: ...
        def close(self, deadline: float) -> None:
            note("journal stop")

    class AlarmWatch:
        def __init__(self, *_: object, **__: object) -> None: ...
        def start(self) -> None:
            note("alarms start")

        def stop(self) -> None:
            note("alarms stop")

    class Admin:
        def __init__(self, *arguments: Any) -> None:
            self.sidecar = arguments[-1]

        def start(self) -> str:
            assert not self.sidecar.health().listening
            return str(note("admin start", "127.0.0.1:2"))

        def stop(self) -> None:
            assert self.sidecar.health().draining
            note("admin stop")

    class Plane:
        ready = True

        async def start(self) -> str:
            return str(note("plane start", "127.0.0.1:1"))

        async def drain(self, seconds: float) -> None:
            note(f"plane drain {seconds:g}")

        def upstreams(self) -> dict[str, str]:
            return {"v1": "ready"}

        def counters(self) -> dict[str, int]:
            return {}

    monkeypatch.setattr(app, "_engine", lambda _: Engine())
    monkeypatch.setattr(app, "_plane", lambda *_: Plane())
    for part in (Telemetry, Journal, AlarmWatch, Admin):
        monkeypatch.setattr(app, part.__name__, part)
    return recorder


def sidecar_of(**environ: str) -> app.Sidecar:
    names = {f"PILOTFISH_{name}": value for name, value in environ.items()}
    addresses = {"PILOTFISH_LISTEN": "127.0.0.1:0", "PILOTFISH_ADMIN": "127.0.0.1:0"}
    source = Source(None, addresses | names, {"upstream": "a:1"})
    return app.Sidecar(source.begin(), source)


async def test_parts_start_in_reading_order_and_stop_in_reverse(parts: Recorder) -> None:
    sidecar = sidecar_of(JOURNAL__DIRECTORY="calls")
    await sidecar.start()
    assert (sidecar.listen, sidecar.admin) == ("127.0.0.1:1", "127.0.0.1:2")
    assert sidecar.health().listening
    await sidecar.stop(3.0)
    assert parts.log == [
        *("telemetry start", "journal start", "alarms start", "admin start", "plane start"),
        *("plane drain 3", "engine flush"),
        *("admin stop", "alarms stop", "journal stop", "telemetry stop", "engine close"),
    ]


async def test_what_has_started_is_stopped_when_a_later_part_cannot_start(parts: Recorder) -> None:
    parts.failing.add("plane start")
    sidecar = sidecar_of()
    with pytest.raises(RuntimeError, match="plane start failed"):
        await sidecar.start()
    assert parts.log[-5:] == ["plane start", "admin stop", "alarms stop", "telemetry stop", "engine close"]


async def test_a_part_that_cannot_be_stopped_does_not_keep_the_others_from_it(parts: Recorder) -> None:
    sidecar = sidecar_of(JOURNAL__DIRECTORY="calls")
    await sidecar.start()
    parts.failing |= {"plane drain 1", "admin stop", "journal stop", "telemetry stop"}
    await sidecar.stop(1.0)
    assert parts.log[-1] == "engine close"


async def test_stopping_twice_stops_once(parts: Recorder) -> None:
    sidecar = sidecar_of()
    await sidecar.start()
    await sidecar.stop(0.0)
    stopped = parts.log.count("telemetry stop")
    await sidecar.stop(0.0)
    assert parts.log.count("telemetry stop") == stopped == 1


async def test_nothing_starts_when_the_address_for_clients_is_taken(parts: Recorder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sidecar = sidecar_of(LISTEN=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(AddressInUse):
            await sidecar.start()
    assert parts.log == ["engine close"]


# === addresses ===


def test_a_taken_port_is_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            AddressInUse, match=f"listen: {address} is taken by another process; stop it, or choose"
        ):
            port.check_free(address)


def test_a_free_address_is_free_and_stays_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    port.check_free(address)
    port.check_free(address)


def test_an_address_of_another_machine_cannot_be_listened_on(tmp_path: Path) -> None:
    for address in ("192.0.2.1:9000", "no-such-host.invalid:9000", f"unix:{tmp_path}/no/folder.sock"):
        with pytest.raises(ConfigurationError, match="write an address of this machine"):
            port.check_free(address)


def test_a_unix_socket_is_taken_while_somebody_answers_on_it(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        with pytest.raises(AddressInUse):
            port.check_free(f"unix:{path}")
    port.check_free(f"unix:{path}")  # the file is still there, the process behind it is not


# === the process ===


def test_run_needs_only_an_upstream(start: Callable[..., Process], model: tuple[Model, str]) -> None:
    process, running = run(start, model[1])
    with dial(running["listen"]) as infer:
        assert infer(REQUEST, timeout=PATIENCE) == RESPONSE
    assert get(running["admin"], "/readyz")["status"] == "ok"
    assert get(running["admin"], "/api/v1/snapshot")["calls"]["total"] == 1
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    assert process.output() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_call_under_way_end(
    start: Callable[..., Process], model: tuple[Model, str], number: int
) -> None:
    process, running = run(start, model[1])
    model[0].gate.clear()
    with dial(running["listen"]) as infer:
        call = infer.future(REQUEST, timeout=PATIENCE)
        assert model[0].inside.acquire(timeout=PATIENCE)
        process.signal(number)
        process.event("stopping")
        model[0].gate.set()
        assert call.result() == RESPONSE
    process.event("stopped")
    assert process.wait() == 0


def test_a_second_signal_stops_at_once(start: Callable[..., Process], model: tuple[Model, str]) -> None:
    process, running = run(start, model[1])
    model[0].gate.clear()
    with dial(running["listen"]) as infer:
        call = infer.future(REQUEST, timeout=PATIENCE)
        assert model[0].inside.acquire(timeout=PATIENCE)
        process.signal(signal.SIGTERM)
        process.event("stopping")
        process.signal(signal.SIGTERM)
        process.event("stopping_at_once")
        assert process.wait() == 1
        assert call.code() is grpc.StatusCode.UNAVAILABLE


def test_a_hangup_while_it_starts_is_a_reload_once_it_has(tmp_path: Path) -> None:
    class Interrupted(Source):
        """Whoever starts it changes the file and says so, a moment after it has been read."""

        def begin(self) -> Beginning:
            beginning = super().begin()
            file.write_text(text + "drain: 7s\n")
            os.kill(os.getpid(), signal.SIGHUP)
            return beginning

    async def reloaded(sidecar: app.Sidecar) -> None:
        while sidecar.configuration()["reloads"]["applied"] == 0:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        assert sidecar.settings.drain == 7.0

    file = tmp_path / "p.yaml"
    text = (
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nreload: signal\nversions: {v1: {upstream: '127.0.0.1:1'}}\n"
    )
    file.write_text(text)
    assert app.run(Interrupted(file, {}), reloaded) == 0


@pytest.mark.parametrize("flag", ["listen", "admin"])
def test_a_port_in_use_is_one_line_with_the_address_and_the_remedy(
    start: Callable[..., Process], flag: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        addresses = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", flag: address}
        process = start(
            "run", "--upstream", "a:1", *(f"--{name}={value}" for name, value in addresses.items())
        )
        (line,) = process.rest().splitlines()
        assert process.wait() == 1
    assert line.startswith(f"{flag}: {address} is taken by another process; stop it, or choose another")
    assert f"--{flag}" in line


def test_an_interceptor_that_cannot_be_loaded_is_a_configuration_error(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"
        "plane: grpcio\nversions: {v1: {upstream: 'a:1'}}\ninterceptors: ['nowhere:Class']\n"
    )
    process = start("run", "--config", str(tmp_path / "p.yaml"))
    (line,) = process.rest().splitlines()
    assert process.wait() == 2
    assert "nowhere" in line


def test_kept_calls_are_in_the_journal_once_it_has_stopped(
    start: Callable[..., Process], model: tuple[Model, str], tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(
        f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nversions: {{v1: {{upstream: '{model[1]}'}}}}\n"
        "sampling: {share_ppm: 1000000}\njournal: {directory: calls, flush_interval: 1m}\n"
    )
    process = start("run", "--config", str(tmp_path / "p.yaml"))
    with dial(process.event("running")["listen"]) as infer:
        for _ in range(20):
            infer(REQUEST, timeout=PATIENCE)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    records = [line for file in (tmp_path / "calls").iterdir() for line in file.read_text().splitlines()]
    assert len(records) == 20


def test_statistics_survive_a_signal_exactly_and_a_kill_up_to_one_interval(
    start: Callable[..., Process], model: tuple[Model, str], tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(
        f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nversions: {{v1: {{upstream: '{model[1]}'}}}}\n"
        "monitor: {learn_rows: 40, pane_rows: 10}\nstate: {directory: state, interval: 100ms}\n"
    )

    def running() -> tuple[Process, dict[str, Any]]:
        process = start("run", "--config", str(tmp_path / "p.yaml"))
        return process, process.event("running")

    def send(listen: str, calls: int) -> None:
        with dial(listen) as infer:
            for _ in range(calls):
                infer(REQUEST, timeout=PATIENCE)

    def counted(admin: str) -> dict[str, Any]:
        snapshot: dict[str, Any] = get(admin, "/api/v1/snapshot")
        return snapshot

    process, at = running()
    send(at["listen"], 50)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0

    process, at = running()
    snapshot = counted(at["admin"])
    assert (snapshot["models"][0]["rows"], snapshot["state"]["restored"]) == (100, 1)
    send(at["listen"], 20)
    while counted(at["admin"])["models"][0]["rows"] < 140:
        pass  # the observer is behind the answers
    written = counted(at["admin"])["state"]["written"]
    while counted(at["admin"])["state"]["written"] < written + 2:
        pass  # one file begun after all of it was counted
    send(at["listen"], 30)
    process.signal(signal.SIGKILL)
    process.wait()

    process, at = running()
    snapshot = counted(at["admin"])
    assert 140 <= snapshot["models"][0]["rows"] <= 200
    assert snapshot["models"][0]["state"] == "watching"
    assert (snapshot["state"]["restored"], snapshot["state"]["lost"]) == (1, {})


def test_learn_writes_a_profile_after_its_calls_and_ends(
    start: Callable[..., Process], model: tuple[Model, str], tmp_path: Path
) -> None:
    out = tmp_path / "m.profile"
    addresses = ("--upstream", model[1], "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    process = start("profile", "learn", *addresses, "--calls", "30", "--out", str(out))
    with dial(process.event("running")["listen"]) as infer:
        for call in range(30):
            infer(infer_request("digits", {"x": np.full((1, 2), call, np.float32)}), timeout=PATIENCE)
    assert process.wait() == 0
    assert process.output() == f"{out}: learned from 30 rows; use it with: pilotfish run --profile {out}\n"
    assert {feature["name"] for feature in profile.check(out.read_bytes())["features"]} >= {"x[0]", "x[1]"}


def test_learning_that_is_interrupted_writes_nothing_and_fails(
    start: Callable[..., Process], model: tuple[Model, str], tmp_path: Path
) -> None:
    out = tmp_path / "m.profile"
    addresses = ("--upstream", model[1], "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    process = start("profile", "learn", *addresses, "--calls", "30", "--out", str(out))
    process.event("running")
    process.signal(signal.SIGINT)
    assert process.rest().splitlines()[-1] == "stopped before 30 calls had passed; nothing was written"
    assert process.wait() == 1
    assert list(tmp_path.iterdir()) == []


def test_learning_from_calls_that_cannot_be_read_says_why(
    start: Callable[..., Process], model: tuple[Model, str], tmp_path: Path
) -> None:
    addresses = ("--upstream", model[1], "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    process = start("profile", "learn", *addresses, "--calls", "10", "--out", str(tmp_path / "m.profile"))
    with grpc.insecure_channel(process.event("running")["listen"]) as channel:
        for _ in range(10):
            channel.unary_unary("/company.Scoring/Score")(b"\xff", timeout=PATIENCE)
    assert "10 calls passed, none with a readable message (unknown_method" in process.rest().splitlines()[-1]
    assert process.wait() == 1
