"""Another configuration while calls are under way: what takes effect, what is refused; no call notices."""

import asyncio
import json
import os
import re
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from running import PATIENCE, REQUEST, Process, dial, get, post, start

from pilotfish.errors import ConfigurationError, RestartNeeded
from pilotfish.reload import Reloader
from pilotfish.settings import Settings, Source

__all__ = ["start"]  # a fixture

RELOADS = 300
CALLERS = 4


# === what a reload may change ===


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


BASE = "versions: {v1: {upstream: 'a:1'}}\nlisten: 127.0.0.1:1\n"


def test_versions_routes_sampling_drain_and_the_budget_for_watching_may_change(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", BASE)
    running = Source(file, {}).load()
    write(
        file,
        "versions: {v2: {upstream: 'b:2'}, v3: {upstream: 'c:3'}}\nlisten: 127.0.0.1:1\ndrain: 9s\n"
        "routes: [{name: r, stable: v3, shadow: {version: v2}}]\nsampling: {share_ppm: 7}\n"
        "monitor: {values_per_second: 5000000}\n",
    )
    wanted = Source(file, {}).load(running)
    assert set(wanted.versions) == {"v2", "v3"}
    assert json.loads(wanted.policy_configuration())["values_per_second"] == 5_000_000


def test_what_needs_a_restart_is_named_with_its_place_and_what_stays_in_force(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", BASE)
    running = Source(file, {}).load()
    write(file, BASE.replace("127.0.0.1:1", "127.0.0.1:2") + "monitor:\n  pane_rows: 50\nthreads: 2\n")
    with pytest.raises(RestartNeeded) as raised:
        Source(file, {}).load(running)
    what = "cannot change while the sidecar runs (it is {}); restart it, or set it back"
    assert list(raised.value.problems) == [
        f"{file}:2: listen: got '127.0.0.1:2': {what.format(repr('127.0.0.1:1'))}",
        f"{file}:4: monitor.pane_rows: got 50: {what.format(1000)}",
        f"{file}:5: threads: got 2: {what.format(1)}",
    ]


def test_what_cannot_be_used_at_all_comes_before_what_needs_a_restart(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", BASE)
    running = Source(file, {}).load()
    write(file, BASE.replace("127.0.0.1:1", "127.0.0.1:2") + "routes: [{name: r, stable: v9}]\n")
    with pytest.raises(ConfigurationError, match="no such version") as raised:
        Source(file, {}).load(running)
    assert not isinstance(raised.value, RestartNeeded)


def test_environment_and_flags_still_win_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", BASE + "sampling: {share_ppm: 1}\n")
    source = Source(file, {"PILOTFISH_SAMPLING__SHARE_PPM": "5"}, {"listen": "127.0.0.1:3"})
    running = source.load()
    write(file, BASE + "sampling: {share_ppm: 2, errors: false}\n")
    settings = source.load(running)
    assert (settings.sampling.share_ppm, settings.sampling.errors, settings.listen) == (
        5,
        False,
        "127.0.0.1:3",
    )


# === one reload after the other ===


class Applied:
    """Stands in for engine, planes and telemetry."""

    def __init__(self, source: Source) -> None:
        self.settings = source.load()
        self.generation = 1
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.reloader = Reloader(source, lambda: self.settings, self, self.apply, self.event)

    async def apply(self, wanted: Settings) -> None:
        generation = self.generation
        await asyncio.sleep(0)
        assert generation == self.generation, "two reloads at once"
        self.generation += 1
        self.settings = wanted

    def event(self, name: str, attributes: Any, body: str) -> None:
        self.events.append((name, dict(attributes)))


async def test_a_rejected_configuration_leaves_the_last_good_one_and_is_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", BASE)
    applied = Applied(Source(file, {}))
    write(file, BASE + "sampling: {share_ppm: 3}\n")
    assert (await applied.reloader.reload("signal")).error is None
    write(file, BASE + "sampling: {share_ppm: -3}\n")
    attempt = await applied.reloader.reload("request")
    assert (attempt.error, applied.generation, applied.settings.sampling.share_ppm) == ("invalid", 2, 3)
    report = applied.reloader.report()
    assert report["reloads"]["applied"] == 1
    assert report["reloads"]["rejected"] == {"invalid": 1, "restart_needed": 0, "profile": 0, "internal": 0}
    (problem,) = report["last_reload"]["problems"]
    assert problem == f"{file}:3: sampling.share_ppm: got -3: is below 0; write 0 or more"
    assert report["settings"]["sampling"]["share_ppm"] == 3
    assert applied.events == [
        (
            "pilotfish.config.reloaded",
            {"pilotfish.config.trigger": "signal", "pilotfish.config.generation": 2},
        ),
        (
            "pilotfish.config.rejected",
            {
                "pilotfish.config.trigger": "request",
                "pilotfish.config.generation": 2,
                "error.type": "invalid",
            },
        ),
    ]


async def test_a_mistake_of_ours_does_not_take_the_configuration_in_force_with_it(tmp_path: Path) -> None:
    applied = Applied(Source(write(tmp_path / "p.yaml", BASE), {}))

    async def broken(_: Settings) -> None:
        raise ZeroDivisionError

    applied.reloader._apply = broken  # type: ignore[method-assign]
    assert (await applied.reloader.reload("signal")).error == "internal"


async def test_reloads_at_once_follow_each_other(tmp_path: Path) -> None:
    applied = Applied(Source(write(tmp_path / "p.yaml", BASE), {}))
    attempts = await asyncio.gather(*(applied.reloader.reload("signal") for _ in range(20)))
    assert [attempt.error for attempt in attempts] == [None] * 20
    assert applied.generation == 21


# === the watch ===


class Looks:
    """Stands in for time: before each look of the watch, something happens to the file."""

    def __init__(self, *events: Callable[[], object]) -> None:
        self.events = list(events)

    async def __call__(self, _: float) -> None:
        if not self.events:
            raise asyncio.CancelledError
        self.events.pop(0)()


def nothing() -> None: ...


async def watched(applied: Applied, *events: Callable[[], object]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await applied.reloader.watch(Looks(*events))


def sampled(ppm: int | str) -> str:
    return BASE + f"sampling: {{share_ppm: {ppm}}}\n"


async def test_a_change_counts_once_two_looks_have_seen_the_same(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", sampled(1))
    applied = Applied(Source(file, {}))
    generations: list[int] = []

    def look() -> None:
        generations.append(applied.generation)

    # The half-written file is valid by itself, and must not take effect.
    half = [lambda: write(file, BASE), lambda: write(file, sampled(2))]
    await watched(applied, look, *half, look, look, look)
    assert applied.settings.sampling.share_ppm == 2
    assert generations == [1, 1, 2, 2]
    assert applied.reloader.counts()[None] == 1


async def test_a_file_that_cannot_be_used_is_tried_once(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", sampled(1))
    applied = Applied(Source(file, {}))
    broken = lambda: write(file, "versions: [")  # noqa: E731
    await watched(applied, broken, *[nothing] * 5, lambda: file.unlink(), *[nothing] * 5)
    assert applied.reloader.counts()["invalid"] == 2
    assert applied.settings.sampling.share_ppm == 1
    await watched(applied, lambda: write(file, sampled(9)), nothing, nothing)
    assert applied.settings.sampling.share_ppm == 9


async def test_a_change_between_reading_and_watching_is_not_missed(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", sampled(1))
    applied = Applied(Source(file, {}))
    write(file, sampled(2))
    await watched(applied, nothing, nothing)
    assert applied.settings.sampling.share_ppm == 2


async def test_a_volume_of_kubernetes_is_followed_through_its_exchanges(tmp_path: Path) -> None:
    """Kubelet writes a new folder, and exchanges the link `..data` to it in one step."""

    def publish(generation: int, text: str) -> None:
        folder = tmp_path / f"..2026_{generation}"
        folder.mkdir()
        write(folder / "p.yaml", text)
        link = tmp_path / "..data_tmp"
        link.symlink_to(folder.name)
        os.replace(link, tmp_path / "..data")  # noqa: PTH105 - what kubelet does

    publish(1, sampled(1))
    (tmp_path / "p.yaml").symlink_to("..data/p.yaml")
    applied = Applied(Source(tmp_path / "p.yaml", {}))
    seen: list[int] = []
    steps: list[Callable[[], object]] = []
    for generation in (2, 3, 4):
        steps += [
            lambda generation=generation: publish(generation, sampled(generation)),
            nothing,
            lambda: seen.append(applied.settings.sampling.share_ppm),
        ]
    await watched(applied, *steps)
    assert seen == [2, 3, 4]
    assert applied.reloader.counts()[None] == 3


# === both planes, under load ===


class Named(grpc.GenericRpcHandler):
    """Answers everything with its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self.name.encode())


@pytest.fixture
def servers() -> Iterator[dict[str, str]]:
    """Addresses of the model servers one, two and wrong."""
    running, addresses = [], {}
    for name in ("one", "two", "wrong"):
        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Named(name)])
        addresses[name] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        running.append(server)
    yield addresses
    for server in running:
        server.stop(0).wait(PATIENCE)


class Caller(threading.Thread):
    """A client that calls until it is told to stop, and keeps every answer apart."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.answers: dict[str, int] = {}
        self.over = False
        self._address = address
        self.start()

    def run(self) -> None:
        with dial(self._address) as infer:
            while not self.over:
                try:
                    answer = infer(REQUEST, timeout=PATIENCE).decode()
                except grpc.RpcError as error:
                    answer = f"{error.code()} {error.details()}"
                self.answers[answer] = self.answers.get(answer, 0) + 1


def configurations(servers: dict[str, str], plane: str) -> tuple[str, str]:
    """Two that lead to the right server each, while every mixture of them leads to the wrong one."""

    def configuration(stable: str, **upstreams: str) -> str:
        return yaml.safe_dump(
            {
                "listen": "127.0.0.1:0",
                "admin": "127.0.0.1:0",
                "plane": plane,
                "versions": {name: {"upstream": servers[server]} for name, server in upstreams.items()},
                "routes": [{"name": "r", "stable": stable}],
                "reload": "signal",
            }
        )

    return configuration("v1", v1="one", v2="wrong"), configuration("v2", v1="wrong", v2="two")


def bad(good: str) -> list[str]:
    return [
        good.replace("stable: v", "stable: w"),
        good + "sampling: {share_ppm: 2000000}\n",
        good.replace("listen: 127.0.0.1:0", "listen: 127.0.0.1:1"),
        good[: len(good) // 2],
        "\t{",
        "",
    ]


@pytest.mark.parametrize("plane", ["native", "grpcio"])
def test_reloads_under_load_lose_no_call_and_show_no_call_a_mixture(
    start: Callable[..., Process], servers: dict[str, str], tmp_path: Path, plane: str
) -> None:
    good = configurations(servers, plane)
    file = write(tmp_path / "p.yaml", good[0])
    process = start("run", "--config", str(file))
    running = process.event("running")
    callers = [Caller(running["listen"]) for _ in range(CALLERS)]
    generation = 1
    for reload in range(RELOADS):
        rejected = reload % 10 in (2, 5, 8)
        broken = bad(good[generation % 2])
        write(file, broken[reload // 3 % len(broken)] if rejected else good[generation % 2])
        status, report = post(running["admin"], "/api/v1/config/reload")
        generation += not rejected
        assert (status, report["generation"]) == (422 if rejected else 200, generation), report
    for caller in callers:
        caller.over = True
    for caller in callers:
        caller.join(PATIENCE)
        assert caller.answers.keys() == {"one", "two"}
    report = get(running["admin"], "/api/v1/config")
    assert report["reloads"]["applied"] == RELOADS * 7 // 10
    assert sum(report["reloads"]["rejected"].values()) == RELOADS * 3 // 10
    assert report["reloads"]["rejected"]["restart_needed"] > 0
    snapshot = get(running["admin"], "/api/v1/snapshot")
    assert snapshot["calls"]["total"] == sum(sum(caller.answers.values()) for caller in callers)
    with urllib.request.urlopen(f"http://{running['admin']}/metrics", timeout=PATIENCE) as answer:
        page = answer.read().decode()
    assert re.search(rf"^pilotfish_config_generation {generation}\.?0*$", page, re.MULTILINE)
    assert re.search(rf"^pilotfish_config_reloads_total {RELOADS * 7 // 10}\.?0*$", page, re.MULTILINE)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


@pytest.mark.parametrize("plane", ["native", "grpcio"])
def test_the_file_the_signal_and_the_command_all_reload(
    start: Callable[..., Process], servers: dict[str, str], tmp_path: Path, plane: str
) -> None:
    good = configurations(servers, plane)
    good = (
        good[0].replace("reload: signal", "reload: watch"),
        good[1].replace("reload: signal", "reload: watch"),
    )
    file = write(tmp_path / "p.yaml", good[0])
    process = start("run", "--config", str(file))
    running = process.event("running")
    with dial(running["listen"]) as infer:
        assert infer(REQUEST, timeout=PATIENCE) == b"one"
        write(file, good[1])
        assert process.event("reloaded")["trigger"] == "watch"
        assert infer(REQUEST, timeout=PATIENCE) == b"two"
        write(file, good[0])
        process.signal(signal.SIGHUP)
        assert process.event("reloaded")["generation"] == 3
        assert infer(REQUEST, timeout=PATIENCE) == b"one"
        write(file, "versions: {}")
        command = start("reload", "--admin", running["admin"])
        assert f"{file}:1: versions" in command.rest()
        assert command.wait() == 1
        assert process.event("reload_rejected")["error_type"] == "invalid"
        assert infer(REQUEST, timeout=PATIENCE) == b"one"


def test_with_reloading_switched_off_nothing_reloads(
    start: Callable[..., Process], servers: dict[str, str], tmp_path: Path
) -> None:
    good = configurations(servers, "native")[0].replace("reload: signal", "reload: 'off'")
    process = start("run", "--config", str(write(tmp_path / "p.yaml", good)))
    running = process.event("running")
    process.signal(signal.SIGHUP)
    process.event("reload_is_off")
    assert post(running["admin"], "/api/v1/config/reload")[0] == 409
