"""The command line: what it prints, where, and with which exit code."""

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner, Result

from pilotfish import __version__, _core, profile
from pilotfish.cli import app, tables
from pilotfish.settings import Settings, load
from pilotfish.testing.model import MODEL_INFER, infer_request, infer_response

COMMANDS = [
    *(["run"], ["check"], ["schema"], ["status"], ["demo"]),
    *(["profile", command] for command in ("build", "diff", "learn", "merge", "show")),
]
WRONG = [[], ["swim"], ["run", "--depth", "3"], ["check"], ["status", "--features", "0"]]


def pilotfish(*arguments: str | Path, **environ: str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environ)


def one_line(result: Result) -> str:
    """The single line on standard error."""
    (line,) = result.stderr.splitlines()
    return line


def snapshot() -> bytes:
    """Numbers of a real engine: two versions, a shadow, rows that drift after the reference was learned."""
    flags = {"upstream": None}
    environ = {
        "PILOTFISH_VERSIONS": "{v1: {upstream: 'a:1'}, v2: {upstream: 'a:2'}, v3: {upstream: 'a:3'}}",
        "PILOTFISH_ROUTES": "[{name: r, stable: v1, candidates: [{version: v2, weight_ppm: 500000}], "
        "shadow: {version: v3}}]",
        "PILOTFISH_MONITOR": "{learn_rows: 200, pane_rows: 100, "
        "alarm: {detector: threshold, psi: 0.2, raise_after: 1}}",
    }
    training = _core.ProfileBuilder("wine")
    training.add_numbers("x", "input", np.arange(100.0))
    engine = _core.Engine(load(None, environ, flags).engine_configuration(), {"v2": training.finish()}, 0)
    random = np.random.default_rng(7)
    for call in range(1200):
        shift = 0.0 if call < 700 else 4.0
        request = infer_request("digits", {"x": random.normal(shift, 1.0, (1, 2))})
        response = infer_response("digits", {"y": random.normal(0.0, 1.0, 1)})
        decision = engine.decide(MODEL_INFER, (), call * 2**53)
        reason = engine.observe(
            decision, 0, 1_000_000, 800_000, call, request, response, len(request), len(response)
        )
        if reason is not None:
            engine.settle(None)
    assert engine.flush(10.0)
    try:
        return engine.snapshot(2_000_000_000)
    finally:
        engine.close()


# === help, usage ===


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(command: list[str]) -> None:
    result = pilotfish(*command, "--help")
    assert result.exit_code == 0
    assert f"pilotfish {' '.join(command)}" in result.stdout.partition("Example")[2]


def test_every_option_says_what_it_is_for() -> None:
    from typer.main import get_command

    def options(command: object) -> Iterator[tuple[str, str | None]]:
        for parameter in command.params:  # type: ignore[attr-defined]
            yield f"{command.name} {parameter.name}", parameter.help  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {}).values():
            yield from options(inner)

    assert [name for name, text in options(get_command(app)) if not text] == []


def test_defaults_are_shown_in_the_help_and_not_taken_for_markup() -> None:
    shown = " ".join(pilotfish("run", "--help", TERMINAL_WIDTH="200", COLUMNS="200").stdout.split())
    assert "[default: 127.0.0.1:9000]" in shown


def test_version_is_the_one_of_the_extension() -> None:
    result = pilotfish("--version")
    assert (result.exit_code, result.stdout) == (0, f"pilotfish {__version__}\n")


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert pilotfish(*arguments).exit_code == 2


def test_help_loads_nothing_that_is_slow() -> None:
    script = (
        "import sys; from pilotfish.cli import app\n"
        "app(['run', '--help'], standalone_mode=False)\n"
        "print(*({'grpc', 'numpy', 'opentelemetry', 'starlette', 'uvicorn', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_the_module_runs_like_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pilotfish", "run", "--plane", "envoy", "--upstream", "a:1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == ("--plane: got 'envoy': is not known; write 'grpcio' or 'native'\n")


# === configuration ===


def test_check_prints_the_effective_configuration(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("versions: {v1: {upstream: 'a:1'}}\n")
    result = pilotfish("check", tmp_path / "p.yaml", PILOTFISH_DRAIN="2s")
    assert result.exit_code == 0
    printed = yaml.safe_load(result.stdout)
    assert (printed["drain"], printed["monitor"]["pane_rows"]) == ("2s", 1000)
    assert Settings.model_validate(printed).versions["v1"].upstream == "a:1"


def test_check_of_a_bad_file_prints_every_problem_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("versions: {v1: {upstream: a}}\ndrain: soon\n")
    result = pilotfish("check", tmp_path / "p.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.removeprefix(f"{tmp_path}/")[:9] for line in result.stderr.splitlines()] == [
        "p.yaml:1:",
        "p.yaml:2:",
    ]


def test_schema_is_json_schema() -> None:
    printed = json.loads(pilotfish("schema").stdout)
    assert printed["required"] == ["versions"]
    assert printed["additionalProperties"] is False


def test_run_without_a_model_server_says_what_is_missing() -> None:
    result = pilotfish("run")
    assert result.exit_code == 2
    assert one_line(result).startswith("versions: missing; name a model server with --upstream HOST:PORT")


def test_run_takes_the_file_from_the_environment(tmp_path: Path) -> None:
    result = pilotfish("run", PILOTFISH_CONFIG=str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert one_line(result) == f"{tmp_path}/none.yaml: no such file; check the path"


def test_the_last_good_configuration_is_named_by_a_variable_too(tmp_path: Path) -> None:
    result = pilotfish("run", "--config", str(tmp_path / "none.yaml"), PILOTFISH_LAST_GOOD="good.yaml")
    assert result.exit_code == 2
    assert "good.yaml: no last good configuration yet" in result.stderr
    assert "PILOTFISH_LAST_GOOD" not in result.stderr


def test_run_with_a_profile_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    result = pilotfish("run", "--upstream", "a:1", "--profile", tmp_path / "no.profile")
    assert result.exit_code == 2
    assert one_line(result).startswith(
        f"--profile: got '{tmp_path}/no.profile': no such profile; check the path"
    )


# === status ===


def page(value: object) -> tuple[int, bytes]:
    return 200, json.dumps(value).encode()


PLANE = page(
    {
        "upstreams": {"v1": "ready", "v2": "unreachable"},
        "counters": {"connections_open": 3, "connections_accepted": 40, "calls_lost": 2, "calls_expired": 0},
    }
)
CONFIGURATION = page(
    {
        "generation": 7,
        "reloads": {"applied": 6, "rejected": {"invalid": 1, "restart_needed": 0}},
        "last_reload": {"applied": False, "problems": ["p.yaml:3: sampling.share_ppm: got -3"]},
    }
)


@pytest.fixture
def serve() -> Iterator[list[tuple[int, bytes]]]:
    """An HTTP server that gives one answer; its address is the second item of the list."""
    answer: list[tuple[int, bytes]] = [(200, b"")]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pages = {"/api/v1/snapshot": answer[0], "/api/v1/plane": PLANE, "/api/v1/config": CONFIGURATION}
            code, body = pages.get(self.path, (404, b""))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    answer.append((server.server_port, b""))
    yield answer
    server.shutdown()
    thread.join()
    server.server_close()


def test_status_shows_calls_shares_drift_and_alarms(serve: list[tuple[int, bytes]]) -> None:
    given = json.loads(snapshot())
    given["models"][0]["unwatched"] = 12
    serve[0] = page(given)
    result = pilotfish("status", "--admin", f"127.0.0.1:{serve[1][0]}", COLUMNS="200", TERMINAL_WIDTH="200")
    assert result.exit_code == 0, result.stderr
    for shown in (
        "1200",
        "12 tensors not watched: see monitor.max_features",
        "digits v2: the profile is of 'wine', and is not used",
        "ModelInfer",
        "50.00%",
        "x[0]",
        "psi > 0.2 since row",
        "alarms",
        "Accounting",
        "Shadows",
        "v2 unreachable",
        "3 client connections of 40 since the start; calls lost 2",
        "generation 7, 6 reloads, 1 rejected; the last was rejected:",
        "p.yaml:3: sampling.share_ppm: got -3",
    ):
        assert shown in result.stdout


def test_what_strangers_have_named_is_shown_on_the_terminal_and_never_obeyed(
    serve: list[tuple[int, bytes]],
) -> None:
    given = json.loads(snapshot())
    given["models"][0]["model"] = "\x1b[2Jdigits[/]"
    given["models"][0]["features"][0]["name"] = "x[/b]\x07\u202e"
    given["calls"]["series"][0]["method"] = "\x9b31m[red]m"
    serve[0] = page(given)
    result = pilotfish("status", "--admin", f"127.0.0.1:{serve[1][0]}", COLUMNS="200", TERMINAL_WIDTH="200")
    assert result.exit_code == 0, result.stderr
    assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(result.stdout)
    for shown in ("\\x1b[2Jdigits[/]", "x[/b]\\x07\\u202e", "\\x9b31m[red]m"):
        assert shown in result.stdout


def test_alarms_are_sentences_whole_where_the_terminal_is_narrow() -> None:
    narrow = Console(width=60, file=io.StringIO())
    for part in tables.report(json.loads(snapshot()), json.loads(PLANE[1]), json.loads(CONFIGURATION[1]), 3):
        narrow.print(part)
    assert isinstance(narrow.file, io.StringIO)
    lines = narrow.file.getvalue().splitlines()
    alarms = [line for line in lines if line.startswith("ALARM digits v")]
    assert len(alarms) == 3
    assert all(re.fullmatch(r"ALARM .*: input x\[\d\]: psi > 0.2 since row \d+", line) for line in alarms)
    assert "and 1 more alarms (--features N)" in lines


def test_status_as_json_is_the_snapshot_as_it_came(serve: list[tuple[int, bytes]]) -> None:
    serve[0] = (200, b'{"calls": {}, "more": 1}')
    result = pilotfish("status", "--json", "--admin", f"127.0.0.1:{serve[1][0]}")
    assert result.stdout == '{"calls": {}, "more": 1}\n'


def test_status_takes_the_address_from_the_environment(serve: list[tuple[int, bytes]]) -> None:
    serve[0] = (200, b'{"calls": {}}')
    result = pilotfish(
        "status", "--json", PILOTFISH_ADMIN=f"127.0.0.1:{serve[1][0]}", http_proxy="http://127.0.0.1:1"
    )
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((500, b""), "answered 500 to GET /api/v1/snapshot"),
        ((200, b"<html>"), "not JSON"),
        ((200, b"[]"), "not a snapshot"),
    ],
)
def test_status_of_something_else_is_one_line(
    serve: list[tuple[int, bytes]], answer: tuple[int, bytes], says: str
) -> None:
    serve[0] = answer
    result = pilotfish("status", "--admin", f"127.0.0.1:{serve[1][0]}")
    assert result.exit_code == 1
    assert says in one_line(result)


def test_status_without_a_sidecar_is_one_line(tmp_path: Path) -> None:
    for address in ("127.0.0.1:1", f"unix:{tmp_path}/none.sock", "nonsense:port"):
        result = pilotfish("status", "--admin", address)
        assert result.exit_code == 1
        assert "is `pilotfish run` running? Name its admin address with --admin" in one_line(result)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (2.5, "2.5 s"), (0.0123456, "12.3 ms"), (0.00025, "250 µs"), (0.0, "0 µs")],
)
def test_durations_are_shown_in_a_readable_unit(value: float | None, shown: str) -> None:
    assert tables.seconds(value) == shown


def test_a_quantile_is_shown_as_the_bound_it_does_not_exceed() -> None:
    histogram = {"bounds": [0.001, 0.01], "counts": [98, 1, 1], "count": 100, "sum": 1.0, "max": 2.0}
    assert tables.bound(histogram, 0.5) == "≤ 1 ms"
    assert tables.bound(histogram, 0.99) == "≤ 10 ms"
    assert tables.bound(histogram, 1.0) == "≤ 2 s"
    assert tables.mean(histogram) == "10 ms"


# === profiles ===


def test_a_profile_is_built_from_csv_and_shown(tmp_path: Path) -> None:
    rows = "".join(f"{n / 7},{'ab'[n % 2]}\n" for n in range(300))
    (tmp_path / "train.csv").write_text(f"income,group\n{rows}")
    out = tmp_path / "model.profile"
    result = pilotfish("profile", "build", "--from", tmp_path / "train.csv", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.replace("\n", "").startswith(f"{out}: any model, 3 features, 300 rows, hash ")
    shown = json.loads(pilotfish("profile", "show", out, "--json").stdout)
    assert [feature["name"] for feature in shown["features"]] == ["group", "group.length", "income"]
    assert "income" in pilotfish("profile", "show", out).stdout


def test_columns_of_a_tensor_become_its_features_in_order(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b,c\n" + "1,2,3\n4,5,6\n" * 20)
    out = tmp_path / "m.profile"
    arguments = [
        "--from",
        tmp_path / "train.csv",
        "--out",
        out,
        "--tensor",
        "x",
        "--columns",
        "c,a",
        "--model",
        "m1",
    ]
    assert pilotfish("profile", "build", *arguments).exit_code == 0
    held = profile.check(out.read_bytes())
    assert held["model"] == "m1"
    assert [feature["name"] for feature in held["features"]] == ["x[0]", "x[1]"]


def test_a_profile_that_cannot_be_built_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b\n")
    out = tmp_path / "m.profile"
    for more in ([], ["--columns", "z"]):
        result = pilotfish("profile", "build", "--from", tmp_path / "train.csv", "--out", out, *more)
        assert result.exit_code == 1
        assert one_line(result)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["train.csv"]


def test_a_profile_that_cannot_be_written_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\n1\n2\n")
    result = pilotfish(
        "profile", "build", "--from", tmp_path / "train.csv", "--out", tmp_path / "no" / "m.profile"
    )
    assert result.exit_code == 1
    assert one_line(result) == (
        f"{tmp_path}/no/m.profile: cannot be written: No such file or directory; choose another --out"
    )


def test_what_is_written_follows_links_and_replaces_no_device(tmp_path: Path) -> None:
    data, pipe, link = tmp_path / "rows.csv", tmp_path / "pipe", tmp_path / "link.profile"
    data.write_text("a\n" + "1\n2\n" * 50)
    os.mkfifo(pipe)
    link.symlink_to("real.profile")
    result = pilotfish("profile", "build", "--from", str(data), "--out", str(pipe))
    assert (result.exit_code, pipe.is_fifo()) == (1, True)
    assert result.stderr == f"{pipe}: cannot be written: Is no ordinary file; choose another --out\n"
    assert pilotfish("profile", "build", "--from", str(data), "--out", str(link)).exit_code == 0
    assert link.is_symlink()
    assert (tmp_path / "real.profile").is_file()


def test_showing_what_is_no_profile_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.profile").write_bytes(b"something else")
    result = pilotfish("profile", "show", tmp_path / "m.profile")
    assert result.exit_code == 1
    assert one_line(result).startswith(f"{tmp_path}/m.profile: ")


def test_learning_into_a_folder_that_is_not_there_is_refused_before_it_begins(tmp_path: Path) -> None:
    result = pilotfish("profile", "learn", "--upstream", "a:1", "--out", tmp_path / "no" / "m.profile")
    assert result.exit_code == 2
    assert one_line(result).endswith(f"no such folder {tmp_path}/no; make it first")


def test_answers_that_are_no_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\n1\n2\n")
    arguments = ["--from", tmp_path / "train.csv", "--out", tmp_path / "m.profile", "--outputs", "label"]
    result = pilotfish("profile", "build", *arguments)
    assert result.exit_code == 2
    assert "has no column 'label'" in one_line(result)


def test_learning_beside_a_configured_profile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\n" + "1\n2\n" * 50)
    out = tmp_path / "m.profile"
    pilotfish("profile", "build", "--from", tmp_path / "train.csv", "--out", out)
    result = pilotfish("profile", "learn", "--upstream", "a:1", "--out", out, PILOTFISH_PROFILE=str(out))
    assert result.exit_code == 2
    assert "unset it" in one_line(result)


# === demo ===


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--for", "soon"], "--for: got 'soon': not a duration"),
        (["--for", "0s"], "--for: got '0s': is not above 0; write 60s"),
        (
            ["--plane", "envoy"],
            "--plane: got 'envoy': is not in this version of pilotfish; use grpcio or native",
        ),
    ],
)
def test_a_demo_that_cannot_be_is_refused_before_anything_is_trained(arguments: list[str], says: str) -> None:
    result = pilotfish("demo", *arguments)
    assert result.exit_code == 2
    assert one_line(result).startswith(says)
