"""The demo: its lens, its judgement, its model server before the unmodified client, and all of it once."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

pytest.importorskip("sklearn")
triton = pytest.importorskip("tritonclient.grpc")

from tritonclient.grpc import service_pb2, service_pb2_grpc  # noqa: E402

from pilotfish.demo import models, news, run, story  # noqa: E402
from pilotfish.demo.child import Child, ChildError, environment  # noqa: E402
from pilotfish.demo.lens import FULL, Lens  # noqa: E402
from pilotfish.demo.lines import Lines  # noqa: E402
from pilotfish.demo.picture import draw  # noqa: E402
from pilotfish.demo.report import Identity, identities  # noqa: E402
from pilotfish.demo.story import Alarm, Change, Phase  # noqa: E402
from pilotfish.demo.tally import Tally  # noqa: E402
from pilotfish.demo.view import look, milliseconds  # noqa: E402

PANE = 100


# === the lens ===


def images(count: int = 3) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.random.default_rng(0).integers(0, 17, (count, 8, 8)).astype(np.float32)


def test_a_clean_lens_changes_nothing() -> None:
    assert np.array_equal(Lens().see(images()), images())


def test_haze_moves_every_pixel_towards_grey_and_keeps_their_order() -> None:
    clean, hazy = images(), Lens(haze=0.2).see(images())
    assert np.allclose(hazy, clean * 0.8 + 0.2 * FULL / 2)
    assert np.array_equal(np.argsort(clean.ravel(), kind="stable"), np.argsort(hazy.ravel(), kind="stable"))


def test_a_stuck_pixel_reads_full_in_every_image_and_no_other_pixel_moves() -> None:
    seen = Lens(stuck=10).see(images()).reshape(3, 64)
    assert (seen[:, 10] == FULL).all()
    assert np.array_equal(np.delete(seen, 10, axis=1), np.delete(images().reshape(3, 64), 10, axis=1))


def test_the_lens_leaves_the_given_images_alone() -> None:
    given = images()
    Lens(haze=0.5, stuck=3).see(given)
    assert np.array_equal(given, images())


@pytest.mark.parametrize("wrong", [{"haze": 1.5}, {"haze": -0.1}, {"stuck": 64}, {"stuck": -1}])
def test_an_impossible_lens_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=re.escape(str(next(iter(wrong.values()))))):
        Lens(**wrong)


# === the judgement ===

CLEAN = Phase("clean", Lens(), 0.5, 3)
HAZE = Phase("haze", Lens(haze=0.2), 0.3, 3, expects="image.brightness")
STUCK = Phase("stuck", Lens(stuck=1), 0.2, 3, expects="image[1]")
CHANGES = (
    Change(CLEAN, 0, {}),
    Change(HAZE, 1100, {"v1": 1000, "v2": 100}),
    Change(STUCK, 2200, {"v1": 2000, "v2": 200}),
)
BRIGHT = Alarm(1, "raised", "v1", "image.brightness", "psi", 2.0, 0.2, row=1200, change_row=1001)
PIXEL = Alarm(2, "raised", "v1", "image[1]", "psi", 3.0, 0.2, row=2200, change_row=2001)


def judge(*alarms: Alarm) -> story.Verdict:
    return story.judge(CHANGES, alarms, PANE)


def test_the_expected_alarms_after_their_changes_pass() -> None:
    verdict = judge(BRIGHT, PIXEL)
    assert verdict.passed
    assert verdict.found == {"haze": BRIGHT, "stuck": PIXEL}


def test_other_alarms_after_the_first_change_do_no_harm() -> None:
    assert judge(BRIGHT, replace(BRIGHT, feature="image[7]"), PIXEL).passed


@pytest.mark.parametrize(("alarms", "missing"), [((PIXEL,), "image.brightness"), ((BRIGHT,), "image[1]")])
def test_a_missing_alarm_fails_and_is_named(alarms: tuple[Alarm, ...], missing: str) -> None:
    verdict = judge(*alarms)
    assert not verdict.passed
    assert len(verdict.missing) == 1
    assert missing in verdict.missing[0]


def test_any_alarm_before_the_first_change_fails() -> None:
    early = replace(BRIGHT, feature="proba.score", row=300, change_row=101)
    verdict = judge(early, BRIGHT, PIXEL)
    assert not verdict.passed
    assert verdict.early == (early,)


def test_each_version_is_judged_by_its_own_count_of_rows() -> None:
    slow = replace(BRIGHT, version="v2", row=200, change_row=101)
    assert judge(BRIGHT, PIXEL, slow).passed
    assert not judge(BRIGHT, PIXEL, replace(slow, version="v1")).passed


def test_a_pane_that_holds_the_change_is_not_early() -> None:
    assert judge(replace(BRIGHT, change_row=1000 - PANE + 1), PIXEL).passed
    assert not judge(replace(BRIGHT, change_row=1000 - PANE), PIXEL).passed


def test_the_pixel_going_off_in_the_haze_is_not_the_stuck_pixel() -> None:
    assert not judge(BRIGHT, replace(PIXEL, row=1200, change_row=1001)).passed


def test_a_cleared_alarm_is_not_a_raised_one() -> None:
    assert not judge(BRIGHT, replace(PIXEL, state="cleared")).passed


def test_without_any_change_every_alarm_is_early() -> None:
    assert story.judge(CHANGES[:1], (BRIGHT,), PANE).early == (BRIGHT,)


def test_a_phase_lasts_its_time_and_until_its_panes_are_full() -> None:
    assert not story.over(HAZE, elapsed=2.9, whole=10, rows=9999, pane_rows=PANE)
    assert not story.over(HAZE, elapsed=3.1, whole=10, rows=299, pane_rows=PANE)
    assert story.over(HAZE, elapsed=3.1, whole=10, rows=300, pane_rows=PANE)


def test_a_phase_that_never_fills_its_panes_ends_all_the_same() -> None:
    assert story.over(HAZE, elapsed=3 * story.PATIENCE, whole=10, rows=0, pane_rows=PANE)


def test_the_shares_of_the_story_make_a_whole() -> None:
    assert sum(phase.share for phase in story.STORY) == pytest.approx(1.0)


# === the words ===


def test_the_expected_alarm_is_told_with_both_beginnings() -> None:
    (item,) = news.news([replace(BRIGHT, change_row=961)], CHANGES)
    assert item.expected
    assert f"began at call {news.call(961)} (estimated), {news.call(1001)} (true)" in item.text


def test_many_pixels_at_once_are_told_in_one_sentence() -> None:
    pixels = [replace(BRIGHT, feature=f"image[{pixel}]") for pixel in range(64)]
    items = news.news([BRIGHT, *pixels], CHANGES)
    assert len(items) == 2
    assert "61 more" in items[1].text


def test_what_a_phase_is_about_is_not_scrolled_away_by_other_news() -> None:
    others = [replace(BRIGHT, feature="label", row=1200 + number) for number in range(9)]
    items = news.newest(news.news([BRIGHT, *others], CHANGES), 3)
    assert [item.expected for item in items] == [True, False, False]
    assert "at call 302" in items[-1].text


def test_an_account_that_does_not_balance_says_so() -> None:
    assert "DOES NOT HOLD" in str(Identity("calls", 3, {"kept": 1, "dropped": 1}))
    assert Identity("calls", 2, {"kept": 1, "dropped": 1}).holds


SNAPSHOT: dict[str, Any] = {
    "routes": [
        {
            "versions": [
                {"version": "v1", "role": "primary", "weight_ppm": 900_000, "share": 0.9, "calls": 9},
                {"version": "v2", "role": "canary", "weight_ppm": 100_000, "share": 0.1, "calls": 1},
            ]
        }
    ],
    "shadows": [{"version": "v3", "match": 3, "mismatch": 1, "error": 0, "timeout": 0, "dropped": 0}],
    "models": [
        {
            "version": "v1",
            "features": [
                {"name": "image[0]", "drift": {"psi": 0.5}, "alarm": {"method": "psi"}},
                {"name": "image.brightness", "drift": {"psi": 0.1}, "alarm": None},
                {"name": "label", "drift": None, "alarm": None},
            ],
        }
    ],
    "alarms": {"active": 1},
    "journal": {"observed": 10, "kept": 2, "sampled_out": 7, "queued": 0, "dropped": {"queue_full": 1}},
    "statistics": {
        "offered": 9,
        "decoded": 8,
        "thinned": 0,
        "unreadable": {"malformed": 1},
        "queued": 0,
        "dropped": {},
    },
}


def test_the_view_shows_what_the_snapshot_and_the_client_say() -> None:
    tally = Tally()
    tally.answered("user-1", "v1", 8, 1.0, 0.004)
    tally.answered("user-1", "v2", 8, 0.5, 0.004)
    tally.direct(0.001)
    view = look(SNAPSHOT, tally.report(), 12.0)
    assert (view.calls, view.users, view.moved, view.accuracy) == (2, 1, 1, 0.75)
    assert view.added is not None
    assert view.added.p50 == pytest.approx(0.003)
    assert view.shadow is not None
    assert view.shadow.disagreement == 0.25
    assert [drift.feature for drift in view.worst(5)] == ["image.brightness", "image[0]"]
    assert all(identity.holds for identity in identities(SNAPSHOT))


def test_a_difference_below_zero_is_called_noise_and_not_a_gain() -> None:
    assert (milliseconds(0.0015), milliseconds(-0.004)) == ("1.50 ms", "in noise")


def test_the_picture_and_the_lines_can_be_drawn_before_and_after_the_first_numbers() -> None:
    from rich.console import Console

    console = Console(width=120, record=True)
    empty = look({**SNAPSHOT, "models": [], "shadows": []}, Tally().report(), 0.0)
    full = look(SNAPSHOT, Tally().report(), 1.0).within(CHANGES, [BRIGHT, PIXEL])
    for view in (empty, full):
        console.print(draw(view, images(1), 61.0, height=24))
    Lines(console).show(full)
    text = console.export_text()
    assert "1:01" in text
    assert "image.brightness" in text
    assert "lens  stuck from call 2,201 on" in text


# === the model server, before the unmodified client ===


@pytest.fixture(scope="module")
def upstreams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    server = Child("pilotfish.demo.server", ["--seed", "1"], tmp_path_factory.mktemp("server") / "log")
    try:
        yield server.hear(60.0)
    finally:
        assert server.stop() == 0


@pytest.fixture
def client(upstreams: dict[str, str]) -> Iterator[Any]:
    with triton.InferenceServerClient(upstreams["v1"]) as client:
        yield client


def live() -> models.Digits:
    return models.halves(1)[1]


def image_input(values: "np.ndarray[Any, Any]", datatype: str = "FP32", name: str = "image") -> Any:
    tensor = triton.InferInput(name, values.shape, datatype)
    tensor.set_data_from_numpy(values)
    return tensor


def test_the_server_is_alive_ready_and_tells_what_it_serves(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.get_server_metadata().name == "pilotfish-demo"
    metadata = client.get_model_metadata("digits")
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs] == [
        ("image", "FP32", [-1, 8, 8])
    ]


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_every_version_classifies_digits_it_has_never_seen(upstreams: dict[str, str], version: str) -> None:
    with triton.InferenceServerClient(upstreams[version]) as client:
        answer = client.infer("digits", [image_input(live().images)], request_id="a")
    assert answer.get_response().model_version == version
    assert answer.get_response().id == "a"
    assert answer.as_numpy("proba").shape == (len(live().labels), 10)
    assert np.mean(answer.as_numpy("label") == live().labels) > 0.93


def test_typed_and_raw_requests_get_equal_answers_each_in_its_own_form(upstreams: dict[str, str]) -> None:
    request = service_pb2.ModelInferRequest(model_name="digits")
    tensor = request.inputs.add(name="image", datatype="FP32", shape=[2, 8, 8])
    typed = service_pb2.ModelInferRequest.FromString(request.SerializeToString())
    typed.inputs[0].contents.fp32_contents.extend(live().images[:2].ravel().tolist())
    request.raw_input_contents.append(live().images[:2].tobytes())
    with grpc.insecure_channel(upstreams["v1"]) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        raw_answer, typed_answer = stub.ModelInfer(request), stub.ModelInfer(typed)
    assert tensor.name == "image"
    assert not typed_answer.raw_output_contents
    assert list(typed_answer.outputs[0].contents.int64_contents) == list(
        np.frombuffer(raw_answer.raw_output_contents[0], "<i8")
    )
    assert list(typed_answer.outputs[1].contents.fp32_contents) == list(
        np.frombuffer(raw_answer.raw_output_contents[1], "<f4")
    )


def test_only_the_requested_outputs_are_answered(client: Any) -> None:
    wanted = [triton.InferRequestedOutput("label")]
    answer = client.infer("digits", [image_input(images())], outputs=wanted)
    assert [output.name for output in answer.get_response().outputs] == ["label"]


@pytest.mark.parametrize(("name", "version"), [("cats", ""), ("digits", "9")])
def test_an_unknown_model_is_not_found(client: Any, name: str, version: str) -> None:
    with pytest.raises(triton.InferenceServerException, match="no model") as caught:
        client.infer(name, [image_input(images())], model_version=version)
    assert "NOT_FOUND" in caught.value.status()


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (image_input(np.zeros((2, 64), np.float32)), r"has shape \[2, 64\]"),
        (image_input(np.zeros((0, 8, 8), np.float32)), "n of at least 1"),
        (image_input(np.zeros((2, 8, 8), np.float64), "FP64"), "has datatype FP64"),
        (image_input(images(), name="picture"), "named 'image'"),
    ],
)
def test_what_is_not_a_batch_of_images_is_an_invalid_argument(client: Any, tensor: Any, said: str) -> None:
    with pytest.raises(triton.InferenceServerException, match=said) as caught:
        client.infer("digits", [tensor])
    assert "INVALID_ARGUMENT" in caught.value.status()


def test_a_shape_that_does_not_fit_the_bytes_is_an_invalid_argument(upstreams: dict[str, str]) -> None:
    request = service_pb2.ModelInferRequest(model_name="digits")
    request.inputs.add(name="image", datatype="FP32", shape=[2, 8, 8])
    request.raw_input_contents.append(bytes(100))
    with grpc.insecure_channel(upstreams["v1"]) as channel, pytest.raises(grpc.RpcError) as caught:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "100 raw bytes where its shape says 512" in caught.value.details()


# === children ===


def test_a_child_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child("pilotfish.demo.traffic", ["--no-such-flag"], tmp_path / "log")
    with pytest.raises(ChildError, match="--through"):
        child.hear(30.0)
    assert child.stop() == 2


def test_children_do_not_inherit_what_would_make_it_another_demo() -> None:
    given = {"PATH": "/bin", "PILOTFISH_LISTEN": "x", "OTEL_SDK_DISABLED": "true", "https_proxy": "y"}
    kept = environment(given)
    assert kept["PATH"] == "/bin"
    assert not {"PILOTFISH_LISTEN", "OTEL_SDK_DISABLED", "https_proxy"} & set(kept)


# === the whole ===


def test_missing_packages_are_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pilotfish.demo.find_spec", lambda name: None if name == "tritonclient" else object())
    assert run() == 2
    assert "tritonclient[grpc]; pip install 'pilotfish[demo]'" in capsys.readouterr().err


def demo(directory: Path, *flags: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pilotfish", "demo", "--keep", str(directory), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_demo_raises_the_expected_alarms_and_exits_with_0(tmp_path: Path) -> None:
    running = demo(tmp_path, "--for", "30s")
    output, _ = running.communicate(timeout=150)
    assert running.returncode == 0, output
    assert re.search(r"ok +clean: no alarm in the first [\d,]+ calls", output), output
    assert "image.brightness raised" in output
    assert f"image[{story.STUCK_PIXEL}] raised" in output
    assert "DOES NOT HOLD" not in output
    assert list((tmp_path / "journal").rglob("*.jsonl"))


def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    running = demo(tmp_path)
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("lens"):
            break
    children = psutil.Process(running.pid).children(recursive=True)
    assert len(children) >= 3
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    _gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert running.returncode == 1
