"""Configuration: what is accepted, what is refused, and whether the refusal says where and what to do."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotfish import _core
from pilotfish.errors import ConfigurationError
from pilotfish.settings import Settings, address, load, units

ROOT = Path(__file__).parents[1]
Load = Callable[..., Settings]

MISTAKES = yaml.safe_load((Path(__file__).parent / "data" / "mistakes.yaml").read_text())
MINIMAL = "versions: {v1: {upstream: '127.0.0.1:8001'}}\n"


@pytest.fixture
def read(tmp_path: Path) -> Load:
    """Load settings from the text of a file called `p.yaml`."""

    def read(
        text: str, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
    ) -> Settings:
        path = tmp_path / "p.yaml"
        path.write_text(text)
        return load(path, environ or {}, flags or {})

    return read


def problems(action: Callable[[], Settings]) -> list[str]:
    """What is wrong, without the folder in front of the file's name."""
    with pytest.raises(ConfigurationError) as caught:
        action()
    return [re.sub(r"\S*/(?=p\.yaml)", "", problem) for problem in caught.value.problems]


def profile_bytes() -> bytes:
    import numpy as np

    builder = _core.ProfileBuilder("m")
    builder.add_numbers("x", "input", np.arange(100.0))
    return builder.finish()


# === sources ===


def test_an_upstream_alone_is_a_whole_configuration() -> None:
    settings = load(None, {}, {"upstream": "127.0.0.1:8001"})
    assert settings.listen == "127.0.0.1:9000"
    assert settings.versions["v1"].upstream == "127.0.0.1:8001"
    assert [(route.name, route.stable) for route in settings.routes] == [("default", "v1")]


def test_flags_win_over_environment_over_file_over_defaults(read: Load) -> None:
    text = MINIMAL + "listen: 127.0.0.1:1\nadmin: 127.0.0.1:2\ndrain: 3s\n"
    environ = {"PILOTFISH_LISTEN": "127.0.0.1:11", "PILOTFISH_ADMIN": "127.0.0.1:12"}
    settings = read(text, environ, {"listen": "127.0.0.1:21", "admin": None})
    assert (settings.listen, settings.admin, settings.drain) == ("127.0.0.1:21", "127.0.0.1:12", 3.0)
    assert settings.monitor.pane_rows == 1000


def test_a_variable_reaches_into_sections_and_leaves_their_other_keys(read: Load) -> None:
    text = MINIMAL + "monitor: {bins: 16, alarm: {ks: 0.5}}\n"
    environ = {"PILOTFISH_MONITOR__PANE_ROWS": "100", "PILOTFISH_MONITOR__ALARM__PSI": "0.3"}
    monitor = read(text, environ).monitor
    assert (monitor.bins, monitor.pane_rows, monitor.alarm.ks, monitor.alarm.psi) == (16, 100, 0.5, 0.3)


def test_a_variable_that_holds_a_mapping_is_merged_key_by_key(read: Load) -> None:
    monitor = read(
        MINIMAL + "monitor: {bins: 16, pane_rows: 50}\n", {"PILOTFISH_MONITOR": "{pane_rows: 60}"}
    ).monitor
    assert (monitor.bins, monitor.pane_rows) == (16, 60)


def test_a_variable_holds_yaml_but_addresses_need_no_quotes(read: Load) -> None:
    environ = {"PILOTFISH_LISTEN": "[::]:9000", "PILOTFISH_UNARY_METHODS": "[/a.B/C, /a.B/D]"}
    settings = read(MINIMAL, environ)
    assert settings.listen == "[::]:9000"
    assert settings.unary_methods == ("/a.B/C", "/a.B/D")


def test_a_shadow_of_a_method_that_may_stream_is_refused_since_it_would_never_be_copied(read: Load) -> None:
    text = """
versions: {v1: {upstream: 'a:1'}, v2: {upstream: 'a:2'}}
routes:
  - {name: r, stable: v1, shadow: {version: v2, methods: [/grpc.health.v1.Health/Check, /a.B/C]}}
"""
    (problem,) = problems(lambda: read(text))
    assert "routes[0].shadow.methods[1]: got '/a.B/C': is copied only if it has one request" in problem
    assert read(text + "unary_methods: [/a.B/C]\n").routes[0].shadow is not None
    named_badly = problems(lambda: read(text + "unary_methods: [{a: b}]\n"))
    assert len(named_badly) == 2


def test_off_is_off_though_yaml_takes_it_for_false(read: Load) -> None:
    settings = read(MINIMAL + "reload: off\n", environ={"PILOTFISH_MONITOR__WINDOWS": "off"})
    assert (settings.reload, settings.monitor.windows) == ("off", "off")


def test_the_only_version_of_a_file_takes_upstream_and_profile_flags(read: Load) -> None:
    text = "versions: {blue: {upstream: '127.0.0.1:8001'}}\n"
    assert read(text, {}, {"upstream": "127.0.0.1:8009"}).versions["blue"].upstream == "127.0.0.1:8009"
    assert read(text, {"PILOTFISH_UPSTREAM": "127.0.0.1:8008"}).versions["blue"].upstream == "127.0.0.1:8008"


def test_an_upstream_flag_beside_two_versions_is_refused(read: Load) -> None:
    text = "versions: {v1: {upstream: 'a:1'}, v2: {upstream: 'a:2'}}\n"
    (problem,) = problems(lambda: read(text, {}, {"upstream": "a:3"}))
    assert problem.startswith("--upstream: got 'a:3': there are 2 versions")


def test_variables_that_kubernetes_sets_for_a_service_named_pilotfish_are_not_settings(read: Load) -> None:
    environ = {
        "PILOTFISH_SERVICE_HOST": "10.0.0.1",
        "PILOTFISH_SERVICE_PORT_GRPC": "9000",
        "PILOTFISH_PORT": "tcp://10.0.0.1:9000",
        "PILOTFISH_ADMIN_PORT_9901_TCP_ADDR": "10.0.0.1",
    }
    assert read(MINIMAL, environ) == read(MINIMAL)


def test_paths_in_the_file_are_relative_to_it_and_flags_to_the_working_directory(
    read: Load, tmp_path: Path
) -> None:
    (tmp_path / "v1.profile").write_bytes(profile_bytes())
    text = "versions: {v1: {upstream: 'a:1', profile: v1.profile}}\njournal: {directory: calls}\n"
    settings = read(text)
    assert settings.versions["v1"].profile == tmp_path / "v1.profile"
    assert settings.journal is not None
    assert settings.journal.directory == tmp_path / "calls"
    assert read(MINIMAL, {}, {"journal": "calls"}).journal is not None
    flagged = read(MINIMAL, {}, {"journal": "calls"}).journal
    assert flagged is not None
    assert flagged.directory == Path("calls")


# === problems ===


def test_every_problem_is_reported_at_once_with_its_line_value_and_remedy(read: Load) -> None:
    text = """\
listen: localhost
versions:
  v1: {upstream: 8001}
  v2: {upstream: "http://m:1", profile: missing.profile}
routes:
  - {name: r, stable: v3, candidates: [{version: v2, weight_ppm: 2000000}]}
monitor:
  pane_row: 5
  bins: 100
drain: soon
"""
    found = problems(lambda: read(text, {"PILOTFISH_LOG__LEVEL": "loud"}, {"admin": "9901"}))
    assert (
        "\n".join(found)
        == """\
--admin: got '9901': has no host; write HOST:PORT, such as 127.0.0.1:9901
environment PILOTFISH_LOG__LEVEL: got 'loud': is not known; write 'debug', 'info', 'warning' or 'error'
p.yaml:1: listen: got 'localhost': has no port; write HOST:PORT, such as localhost:8001
p.yaml:3: versions.v1.upstream: got 8001: is not a text; put it in quotes
p.yaml:4: versions.v2.upstream: got 'http://m:1': is a URL; write HOST:PORT without the scheme
p.yaml:6: routes[0].candidates[0].weight_ppm: got 2000000: is above 1000000; write 1000000 or less
p.yaml:6: routes[0].stable: got 'v3': no such version; write one of v1, v2, or define it
p.yaml:8: monitor.pane_row: unknown key; did you mean 'pane_rows'?
p.yaml:9: monitor.bins: got 100: is above 64; write 64 or less
p.yaml:10: drain: got 'soon': not a duration; write a number with us, ms, s, m or h, such as 250ms"""
    )


@pytest.mark.parametrize("mistake", MISTAKES["settings"], ids=lambda mistake: mistake["set"])
def test_a_mistake_is_named_with_its_remedy(read: Load, mistake: dict[str, str]) -> None:
    (problem,) = problems(lambda: read(f"{mistake['set']}\n{MINIMAL}"))
    assert re.sub(r"^p.yaml:[12]: ", "", problem) == mistake["says"]


@pytest.mark.parametrize("mistake", MISTAKES["routes"], ids=lambda mistake: mistake["set"])
def test_a_route_that_cannot_work_is_refused(read: Load, mistake: dict[str, str]) -> None:
    versions = "versions: {v1: {upstream: 'a:1'}, v2: {upstream: 'a:2'}, v3: {upstream: 'a:3'}}\n"
    found = problems(lambda: read(f"routes: {mistake['set']}\n{versions}"))
    assert found == [f"p.yaml:1: {mistake['says']}"]


def test_two_versions_with_one_address_are_refused(read: Load) -> None:
    text = "versions:\n  v1: {upstream: 'localhost:1'}\n  v2: {upstream: '127.0.0.1:1'}\n"
    (problem,) = problems(lambda: read(text))
    assert problem.startswith(
        "p.yaml:3: versions.v2.upstream: got '127.0.0.1:1': is the same address as versions.v1"
    )


def test_lists_longer_than_their_cap_are_refused(read: Load) -> None:
    versions = {f"v{n}": {"upstream": f"a:{n + 1}"} for n in range(65)}
    (problem,) = problems(lambda: read(yaml.safe_dump({"versions": versions})))
    assert problem == "p.yaml:1: versions: got a mapping: has more than 64 entries; take some out"


def test_a_misspelt_key_of_a_version_is_an_error_with_a_suggestion(read: Load) -> None:
    assert problems(lambda: read('versions:\n  v1: {upstrem: "a:1"}\n')) == [
        "p.yaml:2: versions.v1.upstream: missing; add it (where the model server of this version listens)",
        "p.yaml:2: versions.v1.upstrem: unknown key; did you mean 'upstream'?",
    ]


def test_without_a_version_the_shortest_way_to_one_is_named() -> None:
    assert problems(lambda: load(None, {}, {})) == [
        "versions: missing; name a model server with --upstream HOST:PORT, or under versions in a file"
    ]


def test_a_misspelt_variable_is_an_error_with_a_suggestion(read: Load) -> None:
    environ = {"PILOTFISH_LISTN": "a:1", "PILOTFISH_MONITOR__PANEROWS": "5"}
    assert sorted(problems(lambda: read(MINIMAL, environ))) == [
        "environment PILOTFISH_LISTN: unknown key; did you mean PILOTFISH_LISTEN?",
        "environment PILOTFISH_MONITOR__PANEROWS: unknown key; did you mean PILOTFISH_MONITOR__PANE_ROWS?",
    ]


def test_a_key_given_twice_is_refused(read: Load) -> None:
    assert problems(lambda: read(MINIMAL + "drain: 1s\ndrain: 2s\n")) == [
        "p.yaml:3: drain: is given twice (first on line 2); keep one"
    ]


def test_a_file_of_the_wrong_kind_gives_a_hundred_problems_and_the_number_of_the_rest(read: Load) -> None:
    found = problems(lambda: read(MINIMAL + "".join(f"k{n}: 1\n" for n in range(3000))))
    assert len(found) == 101
    assert found[-1] == "and 2900 more problems; correct these first"


def test_names_are_kept_as_written(read: Load) -> None:
    settings = read("versions: {on: {upstream: 'a:1'}, 1.0: {upstream: 'a:2'}}\n")
    assert list(settings.versions) == ["on", "1.0"]


# === files from strangers ===


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n", "p.yaml:1: is not a mapping; begin with a key, such as 'versions:'"),
        ("a: [1\nb: 2\n", "p.yaml:2: is not YAML"),
        ("a:\n\tb: 1\n", "p.yaml:2: is not YAML"),
        ("a: !!python/object:os.system {}\n", "p.yaml:1: has the tag 'tag:yaml.org,2002:python"),
        ("{[1, 2]: 3}\n", "p.yaml:1: a key is not a text"),
        ("a: 1\n---\nb: 2\n", "p.yaml:2: is not YAML"),
        ("a: *missing\n", "p.yaml:1: is not YAML"),
        ("a: " + "[" * 5000, "p.yaml:1: is nested deeper than 32 levels"),
        ("a: &a [*a]\n", "p.yaml:1: "),
        ("a: &a {k: *a}\n", "p.yaml:1: "),
    ],
)  # fmt: skip
def test_what_is_not_a_plain_yaml_mapping_is_refused_with_its_line(
    read: Load, text: str, problem: str
) -> None:
    assert problems(lambda: read(text))[0].startswith(problem)


def test_an_alias_bomb_is_refused_before_it_fills_the_memory(read: Load) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    text = "\n".join(["l0: &l0 [x, x, x, x]", *levels])
    (problem,) = problems(lambda: read(text))
    assert "holds more than 100000 values, aliases (*name) counted" in problem


def test_an_oversized_file_is_refused(read: Load) -> None:
    assert problems(lambda: read("#" * (1024 * 1024 + 1)))[0].startswith("p.yaml: is larger than 1 MiB")


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"a: 1\nb: \xff\n")
    found = problems(lambda: load(tmp_path / "p.yaml", {}, {}))
    assert found == ["p.yaml:2: is not UTF-8; save the file as UTF-8 text"]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    assert problems(lambda: load(tmp_path / "p.yaml", {}, {})) == ["p.yaml: no such file; check the path"]
    assert problems(lambda: load(tmp_path, {}, {}))[0].endswith("name the configuration file in it")


# === secrets ===


def test_no_secret_reaches_a_message(read: Load) -> None:
    text = (
        MINIMAL
        + "telemetry: {otlp: {endpoint: 'http://me:hunter2@h:1'}}\n"
        + "api_key: hunter2\n"
        + "routes: [{name: r, stable: v1, match: {metadata: {authorization: [hunter2]}}}]\n"
        + "log: {level: 'http://me:hunter2@h'}\n"
    )
    found = problems(lambda: read(text, {"PILOTFISH_TOKEN": "hunter2"}))
    assert len(found) == 5
    assert not [problem for problem in found if "hunter2" in problem]


def test_no_secret_is_in_the_effective_configuration(read: Load) -> None:
    text = MINIMAL + (
        "routes: [{name: r, stable: v1, match: {metadata: {authorization: hunter2, x-env: prod}}}]\n"
        "telemetry: {resource: {db.password: hunter2, note: 'postgres://me:hunter2@db'}}\n"
    )
    shown = json.dumps(read(text).effective())
    assert "hunter2" not in shown
    assert "prod" in shown


@pytest.mark.parametrize(
    "key", ["authorization", "cookie", "x-api-key", "x-refresh-token", "authorization-bin"]
)
def test_metadata_that_carries_credentials_cannot_be_journaled(read: Load, key: str) -> None:
    text = MINIMAL + f"journal: {{directory: d, metadata: [x-user-id, {key}]}}\n"
    assert problems(lambda: read(text))[0].startswith("p.yaml:2: journal.metadata[1]: got ")


# === profiles ===


def test_a_missing_profile_says_how_to_make_one(read: Load) -> None:
    text = "versions:\n  v1: {upstream: 'a:1', profile: v1.profile}\n"
    (problem,) = problems(lambda: read(text))
    assert problem.startswith("p.yaml:2: versions.v1.profile: got ")
    assert "no such profile; check the path, or make one with `pilotfish profile build`" in problem


def test_a_file_that_is_no_profile_is_refused(read: Load, tmp_path: Path) -> None:
    (tmp_path / "v1.profile").write_bytes(b"not a profile")
    text = "versions:\n  v1: {upstream: 'a:1', profile: v1.profile}\n"
    (problem,) = problems(lambda: read(text))
    assert problem.startswith("p.yaml:2: versions.v1.profile: got ")
    assert problem.endswith("this is not a pilotfish profile; make one with `pilotfish profile build`")


def test_a_profile_of_a_newer_format_says_what_to_do(read: Load, tmp_path: Path) -> None:
    newer = re.sub(rb'"format_version":\d+', b'"format_version":99', profile_bytes())
    (tmp_path / "v1.profile").write_bytes(newer)
    text = "versions:\n  v1: {upstream: 'a:1', profile: v1.profile}\n"
    (problem,) = problems(lambda: read(text))
    assert "the profile has format version 99" in problem
    assert "upgrade pilotfish or rebuild the profile" in problem


def test_a_truncated_profile_is_refused(read: Load, tmp_path: Path) -> None:
    (tmp_path / "v1.profile").write_bytes(profile_bytes()[:-3])
    text = "versions:\n  v1: {upstream: 'a:1', profile: v1.profile}\n"
    assert len(problems(lambda: read(text))) == 1


# === the result ===


def test_settings_cannot_be_changed(read: Load) -> None:
    settings = read(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        settings.listen = "a:1"  # type: ignore[misc]


def test_the_effective_configuration_reads_back_as_the_same_settings(read: Load) -> None:
    settings = read((ROOT / "deploy" / "pilotfish.yaml").read_text())
    assert read(yaml.safe_dump(settings.effective())) == settings


def test_the_engine_accepts_the_whole_example(read: Load) -> None:
    settings = read((ROOT / "deploy" / "pilotfish.yaml").read_text())
    engine = _core.Engine(settings.engine_configuration(), {}, 0)
    try:
        assert json.loads(engine.snapshot(0))["routes"][0]["name"] == "digits"
    finally:
        engine.close()


def test_volume_is_off_unless_asked_for_and_learns_whole_cycles(read: Load) -> None:
    plain = MINIMAL + "monitor: {volume: %s}"
    assert json.loads(read(plain % "null").engine_configuration())["monitor"]["volume"] is None
    volume = json.loads(read(plain % "{}").engine_configuration())["monitor"]["volume"]
    assert volume == {
        "interval_ns": 60 * 10**9,
        "learn_ns": 7 * 86_400 * 10**9,
        "period_ns": 86_400 * 10**9,
        "arl_ns": 30 * 86_400 * 10**9,
        "tolerance": 0.02,
    }
    with pytest.raises(ConfigurationError, match="period of a multiple of 24 intervals"):
        read(plain % "{period: 25h}")
    with pytest.raises(ConfigurationError, match="learns for 60 intervals"):
        read(plain % "{learn: 1h}")


def test_the_engine_configuration_has_nanoseconds_and_no_units() -> None:
    environ = {"PILOTFISH_SAMPLING__SLOWER_THAN": "250ms", "PILOTFISH_MONITOR__ALARM__ARL_TIME": "720h"}
    settings = load(None, environ, {"upstream": "a:1"})
    configuration = json.loads(settings.engine_configuration())
    assert configuration["sampling"]["slower_than_ns"] == 250_000_000
    assert configuration["monitor"]["alarm"]["arl_ns"] == 30 * 86_400 * 1_000_000_000
    assert configuration["queue"] == {"messages": 4096, "bytes": 64 * 1024**2}
    assert configuration["versions"] == [{"name": "v1", "upstream": "a:1"}]
    policy = json.loads(settings.policy_configuration())
    assert policy.keys() == {"versions", "routes", "sampling", "values_per_second"}
    assert configuration | policy == configuration


@pytest.mark.parametrize(
    ("text", "value"),
    [("250ms", 0.25), ("2s", 2.0), ("1m", 60.0), ("1.5h", 5400.0), ("10us", 1e-5), (3, 3.0), (0.5, 0.5)],
)
def test_durations_are_read_with_their_unit(text: object, value: float) -> None:
    assert units.seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("64KiB", 65536), ("8MiB", 8 << 20), ("2kB", 2000), ("12", 12), (7, 7), ("0.5KiB", 512)],
)
def test_sizes_are_read_with_their_unit(text: object, value: int) -> None:
    assert units.size(text) == value


@pytest.mark.parametrize("text", ["", "s", "1", "1 day", "-1s", "1e3s", "1s1s", True, None, []])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        units.seconds(text)


@pytest.mark.parametrize("value", [0.0, 1e-6, 0.00025, 0.25, 1.0, 1.5, 60.0, 90.0, 3600.0, 86400.0])
def test_a_duration_reads_back_as_it_was_shown(value: float) -> None:
    assert units.seconds(units.show_seconds(value)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1:1", "localhost:1", True),
        ("0.0.0.0:1", "127.0.0.1:1", True),
        ("[::1]:1", "[::]:1", True),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("model:1", "model:1", True),
        ("model:1", "127.0.0.1:1", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "127.0.0.1:1", False),
    ],
)
def test_addresses_are_the_same_when_they_lead_to_one_socket(one: str, other: str, same: bool) -> None:
    assert address.same(one, other) is same
    assert address.same(other, one) is same
