import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from pilotfish.admin import Admin, Health, server
from pilotfish.errors import AddressInUse, ConfigurationError
from pilotfish.reload import Attempt
from pilotfish.settings import Settings

SNAPSHOT = b'{"version":"0.1.0"}'
METRICS = b"# TYPE pilotfish_call_active gauge\npilotfish_call_active 0.0\n"


class Engine:
    """Answers as the core does, with bytes that can be recognised."""

    def snapshot(self, now_ns: int, detail: bool = False) -> bytes:
        return SNAPSHOT if not detail else b'{"version":"0.1.0","detail":true}'

    def alarms(self, after: int) -> bytes:
        return json.dumps([{"sequence": sequence} for sequence in (1, 2, 3) if sequence > after]).encode()

    def learned_profile(self, version: str) -> bytes | None:
        return b"\x00profile" if version == "v1" else None


class Telemetry:
    """Makes the page of metrics; while `gate` is closed, that takes."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)
        self.at_once = self.most_at_once = 0

    def prometheus(self) -> bytes:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        assert self.gate.wait(20)
        self.at_once -= 1
        return METRICS


def done(result: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(result)
    return future


class Sidecar:
    """An admin address with what it is told about."""

    def __init__(self, address: str = "127.0.0.1:0", **settings: Any) -> None:
        versions = {"v1": {"upstream": "127.0.0.1:8001"}, "v2": {"upstream": "127.0.0.1:8002"}}
        self.settings = Settings.model_validate({"versions": versions, **settings})
        self.state = Health(listening=True, draining=False, upstreams={"v1": "ready", "v2": "unreachable"})
        self.reloading = True
        self.attempt = Attempt("request", 1.5)
        self.drained = 0
        self.metrics = Telemetry()
        self.admin = Admin(
            address, Engine(), self.metrics if self.settings.telemetry.prometheus else None, self
        )
        self.address = self.admin.start()

    # === what the pages ask ===

    def health(self) -> Health:
        return self.state

    def counters(self) -> dict[str, int]:
        return {"connections_open": 2}

    def configuration(self) -> dict[str, Any]:
        problems = list(self.attempt.problems)
        return {"generation": 3, "last_reload": {"problems": problems}, "settings": self.settings.effective()}

    def request_reload(self) -> "Future[Attempt] | None":
        return done(self.attempt) if self.reloading else None

    def request_drain(self) -> "Future[None]":
        self.drained += 1
        return done(None)

    # === what the tests ask ===

    def request(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=10)
        try:
            connection.request(
                method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
            )
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def json(self, path: str, **headers: str) -> tuple[int, Any]:
        status, answer, body = self.request(path, **headers)
        assert answer["content-type"] == "application/json"
        return status, json.loads(body)


@pytest.fixture(scope="module")
def shared() -> Iterator[Sidecar]:
    sidecar = Sidecar()
    yield sidecar
    sidecar.admin.stop()


@pytest.fixture
def sidecar(shared: Sidecar) -> Iterator[Sidecar]:
    healthy = shared.state
    yield shared
    shared.state = healthy


def test_port_0_is_answered_with_the_real_one(sidecar: Sidecar) -> None:
    assert int(sidecar.address.rpartition(":")[2]) > 0
    assert sidecar.address.startswith("127.0.0.1:")


def test_both_probes_are_well_while_the_model_is_not(sidecar: Sidecar) -> None:
    sidecar.state = replace(sidecar.state, upstreams={"v1": "unreachable"})
    for path in ("/healthz", "/readyz"):
        status, body = sidecar.json(path)
        assert (status, body["status"], body["reasons"]) == (200, "ok", [])
        assert body["upstreams"] == {"v1": "unreachable"}


def test_draining_is_life_but_takes_no_calls(sidecar: Sidecar) -> None:
    sidecar.state = replace(sidecar.state, listening=False, draining=True)
    assert sidecar.json("/healthz")[0] == 200
    status, body = sidecar.json("/readyz")
    assert status == 503
    assert body["reasons"] == ["draining: calls under way end, new ones are refused"]


def test_before_it_listens_it_is_neither_alive_nor_ready(sidecar: Sidecar) -> None:
    sidecar.state = replace(sidecar.state, listening=False)
    assert [sidecar.json(path)[0] for path in ("/healthz", "/readyz")] == [503, 503]
    assert sidecar.json("/readyz")[1]["reasons"] == ["not listening yet"]


def test_metrics_are_prometheus_text(sidecar: Sidecar) -> None:
    status, headers, body = sidecar.request("/metrics")
    assert (status, body) == (200, METRICS)
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_probes_are_answered_while_pages_of_metrics_are_made_one_by_one(sidecar: Sidecar) -> None:
    sidecar.metrics.gate.clear()
    sidecar.metrics.begun = threading.Semaphore(0)
    answers: list[bytes] = []
    scrapers = [
        threading.Thread(target=lambda: answers.append(sidecar.request("/metrics")[2])) for _ in range(5)
    ]
    for scraper in scrapers:
        scraper.start()
    assert sidecar.metrics.begun.acquire(timeout=20)
    assert [sidecar.json(path)[0] for path in ("/healthz", "/readyz")] == [200, 200]
    assert not answers
    sidecar.metrics.gate.set()
    for scraper in scrapers:
        scraper.join(20)
    assert answers == [METRICS] * 5
    assert sidecar.metrics.most_at_once == 1


def test_metrics_can_be_switched_off() -> None:
    sidecar = Sidecar(telemetry={"prometheus": False})
    try:
        status, body = sidecar.json("/metrics")
        assert status == 404
        assert "telemetry.prometheus" in body["error"]["message"]
    finally:
        sidecar.admin.stop()


def test_the_snapshot_is_the_core_s_own_bytes(sidecar: Sidecar) -> None:
    assert sidecar.request("/api/v1/snapshot")[2] == SNAPSHOT
    assert sidecar.json("/api/v1/snapshot?detail=1")[1]["detail"] is True
    assert sidecar.request("/api/v1/snapshot?detail=0")[2] == SNAPSHOT
    assert sidecar.json("/api/v1/snapshot?detail=maybe")[0] == 400


def test_alarms_after_a_sequence_number(sidecar: Sidecar) -> None:
    assert [event["sequence"] for event in sidecar.json("/api/v1/alarms")[1]] == [1, 2, 3]
    assert [event["sequence"] for event in sidecar.json("/api/v1/alarms?after=2")[1]] == [3]


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30, "", "%D9%A3"])
def test_what_is_not_a_sequence_number_is_refused_by_name(sidecar: Sidecar, after: str) -> None:
    status, body = sidecar.json(f"/api/v1/alarms?after={after}")
    assert status == 400
    assert "is not a sequence number" in body["error"]["message"]


def test_the_configuration_in_force_is_shown_without_secrets() -> None:
    sidecar = Sidecar(telemetry={"resource": {"deployment.environment.name": "test", "api_token": "hunter2"}})
    try:
        status, body = sidecar.json("/api/v1/config")
        assert status == 200
        assert body["settings"] == sidecar.settings.effective()
        assert body["generation"] == 3
        assert body["settings"]["monitor"]["pane_rows"] == 1000
        assert "hunter2" not in json.dumps(body)
    finally:
        sidecar.admin.stop()


def test_a_learned_profile_is_handed_out_as_it_is(sidecar: Sidecar) -> None:
    status, headers, body = sidecar.request("/api/v1/profile/v1")
    assert (status, body) == (200, b"\x00profile")
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == 'attachment; filename="v1.profile"'


def test_a_profile_not_learned_yet_and_a_version_that_is_not_are_told_apart(sidecar: Sidecar) -> None:
    status, body = sidecar.json("/api/v1/profile/v2")
    assert status == 404
    assert "has learned no profile yet" in body["error"]["message"]
    status, body = sidecar.json("/api/v1/profile/v9")
    assert status == 404
    assert body["error"]["message"] == "no version 'v9'; the configuration has v1, v2"


def test_a_page_that_is_not_there_leads_to_those_that_are(sidecar: Sidecar) -> None:
    status, body = sidecar.json("/nowhere")
    assert (status, body["error"]["status"]) == (404, 404)
    assert "/ lists them" in body["error"]["message"]
    assert "/api/v1/snapshot" in sidecar.json("/")[1]["paths"]
    assert sidecar.json("/healthz/")[0] == 404  # no redirects: they would name a host


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(sidecar: Sidecar, method: str) -> None:
    status, headers, body = sidecar.request("/api/v1/config", method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert "only GET, HEAD is" in json.loads(body)["error"]["message"]


def test_a_reload_is_asked_for_with_post(sidecar: Sidecar) -> None:
    status, _, body = sidecar.request("/api/v1/config/reload", "POST")
    assert (status, json.loads(body)) == (200, {"generation": 3, "last_reload": {"problems": []}})
    sidecar.attempt = Attempt("request", 1.5, "invalid", ("a.yaml:1: listen: ...",))
    status, _, body = sidecar.request("/api/v1/config/reload", "POST")
    sidecar.attempt = Attempt("request", 1.5)
    assert (status, json.loads(body)["last_reload"]) == (422, {"problems": ["a.yaml:1: listen: ..."]})
    assert sidecar.request("/api/v1/config/reload")[0] == 405


def test_a_reload_that_is_switched_off_says_so(sidecar: Sidecar) -> None:
    sidecar.reloading = False
    status, _, body = sidecar.request("/api/v1/config/reload", "POST")
    sidecar.reloading = True
    assert status == 409
    assert "set reload: signal" in json.loads(body)["error"]["message"]


def test_draining_is_asked_for_with_post_and_never_by_a_web_page(sidecar: Sidecar) -> None:
    before = sidecar.drained
    for page in ({"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert sidecar.request("/drain", "POST", **page)[0] == 403
    assert sidecar.request("/drain")[0] == 405
    assert sidecar.drained == before
    status, _, body = sidecar.request("/drain", "POST")
    assert (status, json.loads(body), sidecar.drained) == (200, {"drained": True}, before + 1)


def test_the_planes_own_counters_are_shown(sidecar: Sidecar) -> None:
    upstreams = {"v1": "ready", "v2": "unreachable"}
    assert sidecar.json("/api/v1/plane")[1] == {"upstreams": upstreams, "counters": {"connections_open": 2}}


def test_head_answers_like_get_without_a_body(sidecar: Sidecar) -> None:
    status, headers, body = sidecar.request("/api/v1/snapshot", "HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-length"] == str(len(SNAPSHOT))


def test_it_does_not_say_what_serves_it_and_is_not_cached(sidecar: Sidecar) -> None:
    _, headers, _ = sidecar.request("/healthz")
    assert headers["server"] is None
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_body_is_refused_unread(sidecar: Sidecar) -> None:
    status, headers, body = sidecar.request("/healthz", "GET", b"x" * 100)
    assert (status, headers["connection"]) == (413, "close")
    assert "has a body" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9901",
        "127.0.0.1.evil.example",
        "[127.0.0.1].evil",
        "[evil]:1",
        "localhost.evil:80",
    ],
)
def test_a_name_that_only_points_here_is_refused(sidecar: Sidecar, host: str) -> None:
    status, body = sidecar.json("/api/v1/config", Host=host)
    assert status == 403
    assert "DNS rebinding" in body["error"]["message"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9901", "127.0.0.1:9901", "[::1]:9901", "10.1.2.3:9901", "127.0.0.1"]
)
def test_addresses_and_local_names_are_answered(sidecar: Sidecar, host: str) -> None:
    assert sidecar.json("/healthz", Host=host)[0] == 200


def test_beyond_loopback_every_name_is_answered_and_a_warning_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        sidecar = Sidecar("0.0.0.0:0")
    try:
        sidecar.address = sidecar.address.replace("0.0.0.0", "127.0.0.1")
        assert sidecar.json("/healthz", Host="pilotfish.models.svc:9901")[0] == 200
        assert "admin.reachable_from_network" in {entry["event"] for entry in logs}
    finally:
        sidecar.admin.stop()


def test_on_loopback_nothing_is_warned_of() -> None:
    with structlog.testing.capture_logs() as logs:
        Sidecar().admin.stop()
    assert logs == []


def test_a_failing_page_is_an_error_of_its_own(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Engine, now_ns: int, detail: bool = False) -> bytes:
        raise RuntimeError("internal detail")

    monkeypatch.setattr(Engine, "snapshot", broken)
    status, body = sidecar.json("/api/v1/snapshot")
    assert status == 500
    assert "internal detail" not in json.dumps(body)
    assert sidecar.json("/healthz")[0] == 200


def raw(sidecar: Sidecar) -> socket.socket:
    host, _, port = sidecar.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_an_endless_header_is_cut_off(sidecar: Sidecar) -> None:
    with raw(sidecar) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ")
        received = b""
        try:
            for _ in range(64):
                connection.sendall(b"a" * 4096)
            received = connection.recv(4096)
        except OSError:
            pass  # it was faster than we
        assert received == b"" or received.startswith(b"HTTP/1.1 400")
    assert sidecar.json("/healthz")[0] == 200


@pytest.mark.parametrize("said", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"])
def test_a_silent_connection_is_closed(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SILENCE_SECONDS", 0.05)
    sidecar = Sidecar()
    try:
        with raw(sidecar) as connection:
            connection.sendall(said)
            assert connection.recv(4096) == b""
    finally:
        sidecar.admin.stop()


def test_too_many_connections_are_refused_not_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_CONNECTIONS", 4)
    sidecar = Sidecar()
    silent = [raw(sidecar) for _ in range(3)]
    try:
        assert sidecar.request("/healthz")[0] == 503
        for connection in silent:
            connection.close()
    finally:
        sidecar.admin.stop()


def test_requests_one_after_another_share_a_connection(sidecar: Sidecar) -> None:
    connection = http.client.HTTPConnection(sidecar.address, timeout=10)
    used = set()
    for _ in range(3):
        connection.request("GET", "/api/v1/snapshot")
        used.add(connection.sock)
        assert connection.getresponse().read() == SNAPSHOT
    assert len(used) == 1
    connection.close()


def test_a_taken_port_names_the_address_and_the_remedy(sidecar: Sidecar) -> None:
    with pytest.raises(AddressInUse, match=rf"admin: {sidecar.address} is taken .* --admin"):
        Sidecar(sidecar.address)


def test_an_address_of_another_machine_is_a_configuration_error() -> None:
    with pytest.raises(
        ConfigurationError, match=r"admin: 192\.0\.2\.1:0: .*; write an address of this machine"
    ):
        Sidecar("192.0.2.1:0")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_ipv6_is_bound_and_shown_with_brackets() -> None:
    sidecar = Sidecar("[::1]:0")
    try:
        assert sidecar.address.startswith("[::1]:")
        assert sidecar.json("/healthz")[0] == 200
    finally:
        sidecar.admin.stop()


def over_unix(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: anything.at.all\r\nconnection: close\r\n\r\n")
        return connection.makefile("rb").read()


def test_a_unix_socket_is_served_guarded_by_its_mode_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(path))
    dead.close()  # leaves the file behind, as a killed process does
    sidecar = Sidecar(f"unix:{path}")
    try:
        assert sidecar.address == f"unix:{path}"
        assert over_unix(path).startswith(b"HTTP/1.1 200")
        assert path.stat().st_mode & 0o777 == 0o660
        with pytest.raises(AddressInUse):
            Sidecar(f"unix:{path}")
    finally:
        sidecar.admin.stop()
    assert not path.exists()


def test_stop_frees_the_port_and_may_be_repeated() -> None:
    sidecar = Sidecar()
    sidecar.admin.stop()
    sidecar.admin.stop()
    again = Sidecar(sidecar.address)
    assert again.address == sidecar.address
    again.admin.stop()


def test_no_thread_stays_behind() -> None:
    Sidecar().admin.stop()
    names = [thread.name for thread in threading.enumerate() if thread.name == "pilotfish-admin"]
    assert len(names) <= 1  # the one the other tests share
