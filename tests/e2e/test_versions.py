"""The wheel beside the oldest and the newest protobuf it promises to work with; no protobuf to serve a call.

A model server's environment often pins protobuf: a sidecar installed into it must neither care nor interfere.
"""

import json
import subprocess
from pathlib import Path

import pytest

from e2e.calls import ask, request, wine
from e2e.process import peer
from e2e.sidecar import before
from pilotfish.testing.collector import Collector

pytestmark = [pytest.mark.peers, pytest.mark.parametrize("protobuf", ["5.29.", "7."])]


def python(protobuf: str) -> str:
    """The interpreter of the environment that holds this protobuf and the wheel."""
    return peer(f"protobuf{protobuf[0]}/bin/python")


def test_the_wheel_is_what_runs(protobuf: str, tmp_path: Path) -> None:
    program = "import google.protobuf, pilotfish; print(google.protobuf.__version__, pilotfish.__file__)"
    done = subprocess.run(
        [python(protobuf), "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    version, path = done.stdout.split()
    assert version.startswith(protobuf)
    assert f".peers/protobuf{protobuf[0]}/" in path


@pytest.mark.parametrize("form", ["raw", "typed"])
def test_the_model_answers_through_it_and_is_watched(
    protobuf: str, form: str, model: str, tmp_path: Path
) -> None:
    message = request(wine(3), form)
    with before(model, tmp_path, python=[python(protobuf)]) as sidecar:
        assert ask(sidecar.address, message) == ask(model, message)
        (watched,) = sidecar.snapshot()["models"]
    assert (watched["model"], watched["rows"]) == ("wine", 3)


def test_what_it_exports_can_be_decoded(protobuf: str, model: str, tmp_path: Path) -> None:
    with Collector() as collector:
        options = ["--otlp", collector.grpc_endpoint]
        with before(model, tmp_path, python=[python(protobuf)], options=options) as sidecar:
            ask(sidecar.address, request(wine(3), "raw", model="grapes"))  # an error is always kept: a span
            ask(sidecar.address, request(wine(3), "raw"))
        # Stopping exports the rest: nothing has to be waited for beyond that.
        collector.wait(lambda received: received.spans and received.points)
        names = {point.name for point in collector.points}
    assert "rpc.server.call.duration" in names
    assert any(span.status == "error" for span in collector.spans)


def test_no_protobuf_is_loaded_to_serve_and_watch_calls(protobuf: str, tmp_path: Path) -> None:
    program = Path(__file__).with_name("plain_call.py")
    command = [python(protobuf), str(program), "5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    seen = json.loads(done.stdout)
    assert seen["rows"] == 15
    assert "pilotfish.plane.grpcio" in seen["modules"]
    assert [name for name in seen["modules"] if name.startswith("google.protobuf")] == []
