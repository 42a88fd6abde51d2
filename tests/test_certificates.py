"""Files of certificates: what is refused before anything starts, and what is told while it runs."""

import asyncio
import json
import os
import signal
import ssl
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from authority import ENCRYPTED, Authority, Pair
from conformance.http2 import Backend
from structlog.testing import capture_logs
from test_app import PATIENCE, Process
from typer.testing import CliRunner

from pilotfish import _core, certificates
from pilotfish.certificates import CertificateWatch
from pilotfish.cli import app
from pilotfish.errors import ConfigurationError
from pilotfish.plane.grpcio.tls import Renewal
from pilotfish.settings import Settings, load

ROOT = Path(__file__).parents[1]
DAY = 86_400


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def folder(authority: Authority, tmp_path: Path) -> Path:
    """A configuration with good certificates on both sides, as it is published."""
    (tmp_path / "tls.yaml").write_text((ROOT / "deploy" / "tls.yaml").read_text())
    for name in ("tls", "model-tls"):
        authority.pair().write(tmp_path / name)
        (tmp_path / name / "ca.crt").write_bytes(authority.pem)
    return tmp_path


def problems(folder: Path) -> list[str]:
    """What is wrong, with the folder cut away."""
    try:
        load(folder / "tls.yaml", {}, {})
    except ConfigurationError as exc:
        return [problem.replace(f"{folder}/", "") for problem in exc.problems]
    return []


def test_the_published_example_can_be_run(folder: Path) -> None:
    settings = load(folder / "tls.yaml", {}, {})
    states = json.loads(certificates.read(settings).states())
    assert [state["version"] for state in states] == [None, "v1"]
    assert settings.tls is not None
    assert settings.tls.key == folder / "tls" / "tls.key"
    assert settings.effective()["tls"]["key"] == str(folder / "tls" / "tls.key")


def test_each_bad_file_is_named_with_its_line_and_the_remedy(folder: Path, authority: Authority) -> None:
    (folder / "tls" / "tls.key").unlink()
    (folder / "model-tls" / "ca.crt").write_text("not PEM")
    assert problems(folder) == [
        "tls.yaml:10: tls.key: tls/tls.key: no such file; check the path, and that the secret is mounted",
        (
            "tls.yaml:19: versions.v1.tls.ca: model-tls/ca.crt: holds no certificate; write one in PEM "
            "(BEGIN CERTIFICATE)"
        ),
    ]


def _other_key(folder: Path, authority: Authority) -> None:
    (folder / "tls" / "tls.key").write_bytes(authority.pair().key)


def _expired(folder: Path, authority: Authority) -> None:
    authority.pair(begins=-20, ends=-2.5).write(folder / "tls")


def _early(folder: Path, authority: Authority) -> None:
    authority.pair(begins=1).write(folder / "tls")


def _encrypted(folder: Path, authority: Authority) -> None:
    authority.pair(encryption=ENCRYPTED).write(folder / "tls")


def _swapped(folder: Path, authority: Authority) -> None:
    tls = folder / "tls"
    (tls / "tls.key").write_bytes((tls / "tls.crt").read_bytes())


def _torn(folder: Path, authority: Authority) -> None:
    certificate = (folder / "tls" / "tls.crt").read_bytes()
    (folder / "tls" / "tls.crt").write_bytes(certificate[: len(certificate) // 2])


def _folder(folder: Path, authority: Authority) -> None:
    (folder / "tls" / "tls.crt").unlink()
    (folder / "tls" / "tls.crt").mkdir()


def _endless(folder: Path, authority: Authority) -> None:
    with (folder / "tls" / "tls.crt").open("wb") as file:
        file.truncate(5 * 1024**2)


def _device(folder: Path, authority: Authority) -> None:
    (folder / "tls" / "tls.crt").unlink()
    (folder / "tls" / "tls.crt").symlink_to("/dev/zero")


def _pipe(folder: Path, authority: Authority) -> None:
    (folder / "tls" / "tls.crt").unlink()
    os.mkfifo(folder / "tls" / "tls.crt")


def _looped(folder: Path, authority: Authority) -> None:
    (folder / "tls" / "tls.crt").unlink()
    (folder / "tls" / "tls.crt").symlink_to("tls.crt")


def _garbage(folder: Path, authority: Authority) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    (folder / "tls" / "tls.crt").write_text(pem)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_other_key, "tls.key: tls/tls.key: is not the key of the certificate; write both files of one pair"),
        (_expired, "tls.certificate: tls/tls.crt: has expired on 20"),
        (_early, "tls.certificate: tls/tls.crt: is not valid before"),
        (_encrypted, "tls.key: tls/tls.key: is encrypted; write it without a passphrase"),
        (_swapped, "tls.key: tls/tls.key: holds no private key; write one in PEM (BEGIN PRIVATE KEY)"),
        (_torn, "tls.certificate: tls/tls.crt: is not PEM: it breaks off before END; write"),
        (_folder, "tls.certificate: tls/tls.crt: is a folder; name the file in it"),
        (_endless, "tls.certificate: tls/tls.crt: is longer than 4 MiB; name a file in PEM form"),
        (_device, "tls.certificate: tls/tls.crt: is no regular file; name one in PEM form"),
        (_pipe, "tls.certificate: tls/tls.crt: is no regular file; name one in PEM form"),
        (_looped, "check the path and the disk"),
        (_garbage, "tls.certificate: tls/tls.crt: its first certificate cannot be read"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_files_that_cannot_be_used_are_refused_at_the_start(
    spoil: Any, says: str, folder: Path, authority: Authority
) -> None:
    spoil(folder, authority)
    (problem,) = problems(folder)
    assert says in problem


@pytest.mark.parametrize("command", [["check"], ["run", "--config"]], ids=["check", "run"])
def test_a_bad_certificate_ends_in_exit_code_2(command: list[str], folder: Path) -> None:
    (folder / "tls" / "tls.crt").unlink()
    result = CliRunner().invoke(app, [*command, str(folder / "tls.yaml")])
    assert result.exit_code == 2
    assert "tls.crt: no such file" in result.output


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tls": {"forward_client_certificate": True}}, "add client_ca"),
        ({"plane": "grpcio", "tls": {"client_ca": "ca", "require_client_certificate": False}}, "native"),
        ({"versions": {"v1": {"upstream": "m:1", "tls": {"ca": "a", "key": "k"}}}}, "add certificate"),
    ],
)
def test_settings_that_do_not_agree_are_refused(changes: dict[str, Any], says: str) -> None:
    tls = {"certificate": "c", "key": "k", **changes.get("tls", {})}
    with pytest.raises(ValueError, match=says):
        Settings.model_validate({"versions": {"v1": {"upstream": "m:1"}}, **changes, "tls": tls})


def test_the_name_of_a_model_server_is_its_host_unless_given(folder: Path) -> None:
    def name(upstream: str, given: str | None = None) -> str | None:
        tls = {"ca": folder / "tls" / "ca.crt", "server_name": given}
        settings = Settings.model_validate({"versions": {"v1": {"upstream": upstream, "tls": tls}}})
        return certificates.read(settings).server_name("v1")

    assert name("model.example:1") == "model.example"
    assert name("[::1]:1") == "::1"
    assert name("unix:/run/model.sock") == "localhost"
    assert name("10.0.0.1:1", "model.example") == "model.example"
    with pytest.raises(
        ConfigurationError, match=r"versions.v1.tls.server_name: 'not a name' is no host name"
    ):
        name("10.0.0.1:1", "not a name")


def test_what_happens_to_the_files_is_logged_once(folder: Path, authority: Authority) -> None:
    held = certificates.read(load(folder / "tls.yaml", {}, {}))
    clock = time.time()
    watch = CertificateWatch(held, period=1.0, now=lambda: clock)
    assert watch.look() == []
    (folder / "tls" / "tls.key").write_bytes(authority.pair().key)
    with capture_logs() as logs:
        watch.look()
        watch.look()
    (refused,) = logs
    assert (refused["event"], refused["log_level"]) == ("certificate.refused", "error")
    assert "tls.key: " in refused["reason"]
    authority.pair().write(folder / "tls")
    with capture_logs() as logs:
        watch.look()
        clock += 70 * DAY  # of 91, in which both certificates are good
        watch.look()
        watch.look()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("certificate.renewed", "info"),
        ("certificate.ending", "warning"),
        ("certificate.ending", "warning"),
    ]
    assert logs[1]["days_left"] == pytest.approx(20, abs=0.1)
    assert [(state["renewed"], state["refused"]) for state in json.loads(held.states())] == [(1, 1), (0, 0)]


@pytest.mark.parametrize("days", [(1, 2), (-20, -2)], ids=["not valid yet", "expired"])
def test_a_certificate_out_of_its_time_is_refused_once_however_late_it_gets(
    folder: Path, authority: Authority, days: tuple[float, float]
) -> None:
    held, now = certificates.read(load(folder / "tls.yaml", {}, {})), int(time.time())
    authority.pair(begins=days[0], ends=days[1]).write(folder / "tls")
    (refused,) = json.loads(held.look(now))
    assert refused["event"] == "refused"
    assert json.loads(held.look(now + 10)) == json.loads(held.look(now + DAY // 2)) == []
    assert json.loads(held.states())[0]["refused"] == 1


def test_a_certificate_that_has_ended_while_it_was_in_use_stays_until_a_good_one_comes(
    folder: Path, authority: Authority
) -> None:
    held = certificates.read(load(folder / "tls.yaml", {}, {}))
    later = int(time.time()) + 200 * DAY
    (ending, _) = json.loads(held.look(later))
    assert ending["event"] == "ending"
    authority.pair(ends=100).write(folder / "tls")
    (refused,) = json.loads(held.look(later))
    assert "has expired on " in refused["reason"]
    authority.pair(ends=300).write(folder / "tls")
    assert json.loads(held.look(later))[0]["event"] == "renewed"


def test_other_sections_are_applied_as_a_whole_or_not_at_all(folder: Path, authority: Authority) -> None:
    settings = load(folder / "tls.yaml", {}, {})
    held, now = certificates.read(settings), int(time.time())
    authority.pair().write(folder / "tls")
    held.look(now)
    upstream = "unix:/run/model.sock"
    more = {"upstream": upstream, "tls": {"ca": folder / "tls" / "ca.crt"}}
    both = settings.model_dump() | {"versions": {**settings.model_dump()["versions"], "v2": more}}
    held.apply(Settings.model_validate(both).certificate_configuration(), now)
    assert [(state["version"], state["renewed"]) for state in json.loads(held.states())] == [
        (None, 1),
        ("v1", 0),
        ("v2", 0),
    ]
    before = held.states()
    more["tls"]["ca"] = folder / "none"  # type: ignore[index]
    bad = Settings.model_validate(both | {"tls": None}).certificate_configuration()
    with pytest.raises(_core.CertificateError):
        held.apply(bad, now)
    assert held.states() == before


def test_handshakes_of_the_grpcio_plane_replace_the_certificate_only_when_there_is_another(
    folder: Path, authority: Authority
) -> None:
    held = certificates.read(load(folder / "tls.yaml", {}, {}))
    renewal = Renewal(held)
    assert [renewal() is None for _ in range(3)] == [False, True, True]
    authority.pair().write(folder / "tls")
    held.look(int(time.time()))
    assert [renewal() is None for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize("plane", ["native", "grpcio"])
async def test_a_running_sidecar_takes_a_new_certificate_and_keeps_a_bad_one_out(
    tmp_path: Path, plane: str
) -> None:
    authority = Authority()
    renewed = authority.pair()
    mount(authority.pair(), tmp_path)
    backend = Backend()
    backend.port = await backend.start()
    (tmp_path / "tls.yaml").write_text(
        f"""{{listen: "127.0.0.1:0", admin: "127.0.0.1:0", certificate_interval: 100ms, plane: {plane},
        tls: {{certificate: mounted/tls.crt, key: mounted/tls.key}},
        versions: {{v1: {{upstream: "127.0.0.1:{backend.port}"}}}}}}"""
    )
    with closing(Process("run", "--config", str(tmp_path / "tls.yaml"))) as process:
        running = await asyncio.to_thread(process.event, "running")
        host, _, port = running["listen"].rpartition(":")

        def shown() -> str:
            return ssl.get_server_certificate((host, int(port)))

        credentials = grpc.ssl_channel_credentials(authority.pem)
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            call = channel.unary_unary("/test.Any/Call")
            assert await call(b"x") == b"x"
            mount(renewed, tmp_path)
            await asyncio.to_thread(process.event, "certificate.renewed")
            assert await asyncio.to_thread(shown) == renewed.certificate.decode()
            mount(Pair(authority.pair().certificate, authority.pair().key), tmp_path)
            refused = await asyncio.to_thread(process.event, "certificate.refused")
            assert "is not the key of the certificate" in refused["reason"]
            assert await asyncio.to_thread(shown) == renewed.certificate.decode()
            assert await call(b"x") == b"x"
        page = await asyncio.to_thread(metrics, running["admin"])
        assert 'pilotfish_certificate_remaining_seconds{pilotfish_certificate_side="listener"}' in page
        assert 'pilotfish_certificate_side="listener",pilotfish_outcome="refused"} 1' in page
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 0
    await backend.stop()


def mount(pair: Pair, folder: Path) -> None:
    """Exchange all files at once, as Kubernetes does."""
    new = Path(tempfile.mkdtemp(dir=folder))
    pair.write(new)
    (folder / "next").symlink_to(new)
    (folder / "next").rename(folder / "mounted")


def metrics(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE) as answer:
        return str(answer.read().decode())
