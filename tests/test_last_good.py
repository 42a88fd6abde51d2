"""Starting from the last good configuration: only when asked for, never silently."""

import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from running import PATIENCE, REQUEST, RESPONSE, Model, Process, dial, get, model, post, start

from pilotfish.errors import ConfigurationError
from pilotfish.settings import Source, last_good

__all__ = ["model", "start"]  # fixtures

BAD = "versions: {v1: {upstream: nowhere}}\n"


def good(upstream: str) -> str:
    return f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nversions: {{v1: {{upstream: '{upstream}'}}}}\n"


def test_a_sidecar_starts_from_it_says_so_and_takes_a_corrected_one(
    start: Callable[..., Process], model: tuple[Model, str], tmp_path: Path
) -> None:
    file, copy = tmp_path / "p.yaml", tmp_path / "good.yaml"
    arguments = ("run", "--config", str(file), "--last-good", str(copy))
    file.write_text(good(model[1]))
    first = start(*arguments)
    assert get(first.event("running")["admin"], "/readyz")["configuration"] == "as given"
    assert copy.read_text() == file.read_text()
    assert copy.stat().st_mode & 0o077 == 0
    first.signal(signal.SIGTERM)
    assert first.wait() == 0

    file.write_text(BAD)
    second = start(*arguments)
    assert second.event("started_from_last_good")["file"] == str(copy)
    (problem,) = second.event("reload_rejected")["problems"]
    assert f"{file}:1: versions.v1.upstream" in problem
    running = second.event("running")
    with dial(running["listen"]) as infer:
        assert infer(REQUEST, timeout=PATIENCE) == RESPONSE
    health = get(running["admin"], "/readyz")
    assert health["status"] == "ok"
    assert health["configuration"] == f"last good; {problem}"
    report = get(running["admin"], "/api/v1/config")
    assert report["last_reload"]["trigger"] == "start"
    assert report["reloads"]["rejected"]["invalid"] == 1
    with urllib.request.urlopen(f"http://{running['admin']}/metrics", timeout=PATIENCE) as answer:
        assert 'pilotfish_config_reloads_total{error_type="invalid"} 1' in answer.read().decode()
    assert copy.read_text() == good(model[1])

    file.write_text(good(model[1]) + "drain: 2s\n")
    assert post(running["admin"], "/api/v1/config/reload")[0] == 200
    assert get(running["admin"], "/readyz")["configuration"] == "as given"
    assert copy.read_text() == file.read_text()


def test_without_being_asked_for_a_bad_configuration_ends_the_process(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(BAD)
    process = start("run", "--config", str(tmp_path / "p.yaml"))
    assert process.wait() == 2


@pytest.mark.parametrize(("copy", "says"), [(None, "no last good"), (BAD, "cannot be used either")])
def test_a_copy_that_is_not_there_or_bad_is_told_beside_what_is_wrong(
    tmp_path: Path, copy: str | None, says: str
) -> None:
    file, held = tmp_path / "p.yaml", tmp_path / "good.yaml"
    file.write_text("zebra: 1\n")
    if copy is not None:
        held.write_text(copy)
    with pytest.raises(ConfigurationError, match="zebra") as caught:
        Source(file, {}, last_good=held).begin()
    assert says in str(caught.value)


def test_paths_in_the_copy_begin_where_the_file_was(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file, held = tmp_path / "etc" / "p.yaml", tmp_path / "good.yaml"
    file.write_text(good("127.0.0.1:1") + "journal: {directory: calls}\n")
    source = Source(file, {}, last_good=held)
    settings = source.begin().settings
    source.remember()
    file.write_text(BAD)
    beginning = Source(file, {}, last_good=held).begin()
    assert beginning.settings == settings
    assert beginning.problems


def test_what_was_written_after_it_was_loaded_is_not_remembered(tmp_path: Path) -> None:
    file, held = tmp_path / "p.yaml", tmp_path / "good.yaml"
    file.write_text(good("127.0.0.1:1"))
    source = Source(file, {}, last_good=held)
    source.begin()
    file.write_text(BAD)
    source.remember()
    assert not held.exists()


def test_a_disk_that_takes_no_copy_costs_the_copy_only(tmp_path: Path) -> None:
    last_good.keep(tmp_path / "no folder" / "good.yaml", b"text")
    assert last_good.read(tmp_path / "no folder" / "good.yaml") is None
