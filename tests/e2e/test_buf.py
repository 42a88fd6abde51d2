"""``buf curl`` through the sidecar: connect-go speaks gRPC here, with a definition of our own."""

import base64
import json
import subprocess
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from tritonclient.grpc import service_pb2

from e2e.calls import wine
from e2e.process import ROOT, peer
from e2e.sidecar import Sidecar

pytestmark = pytest.mark.peers

PROTOS = ROOT / "protos"
METHOD = "inference.GRPCInferenceService/ModelInfer"


def curl(address: str, request: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    options = ["--schema", str(PROTOS), "--protocol", "grpc", "--http2-prior-knowledge", "--data", "@-"]
    return subprocess.run(
        [peer("buf/bin/buf"), "curl", *options, f"http://{address}/{METHOD}"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=90,
    )


def asked(form: str, rows: int, model: str = "wine") -> dict[str, Any]:
    values = wine(rows)
    tensor: dict[str, Any] = {"name": "x", "datatype": "FP64", "shape": [str(size) for size in values.shape]}
    request: dict[str, Any] = {"modelName": model, "id": "buf-1", "inputs": [tensor]}
    if form == "raw":
        request["rawInputContents"] = [base64.b64encode(values.tobytes()).decode()]
    else:
        tensor["contents"] = {"fp64Contents": values.ravel().tolist()}
    return request


@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("form", ["raw", "typed"])
def test_buf_gets_the_same_answer(model: str, sidecar: Sidecar, form: str, rows: int) -> None:
    direct, through = (curl(address, asked(form, rows)) for address in (model, sidecar.address))
    assert json.loads(through.stdout) == json.loads(direct.stdout)
    assert json.loads(direct.stdout)["id"] == "buf-1"


def test_buf_gets_the_same_error(model: str, sidecar: Sidecar) -> None:
    direct, through = (curl(address, asked("raw", 1, "grapes")) for address in (model, sidecar.address))
    assert through.returncode == direct.returncode != 0
    assert json.loads(through.stderr) == json.loads(direct.stderr)
    assert json.loads(direct.stderr)["code"] == "not_found"


def test_what_buf_sent_is_counted(model: str, fresh_sidecar: Sidecar) -> None:
    curl(fresh_sidecar.address, asked("raw", 64))
    curl(fresh_sidecar.address, asked("typed", 1))
    (watched,) = fresh_sidecar.snapshot()["models"]
    assert (watched["calls"], watched["rows"]) == (2, 65)


def test_our_definition_agrees_with_tritons(tmp_path: Any) -> None:
    image = tmp_path / "image.binpb"
    subprocess.run([peer("buf/bin/buf"), "build", str(PROTOS), "-o", str(image)], check=True, timeout=60)
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file
    (ours,) = [file for file in files if file.package == "inference"]
    theirs = descriptor_pb2.FileDescriptorProto()
    service_pb2.DESCRIPTOR.CopyToProto(theirs)
    published = {name: number for message in theirs.message_type for name, number in fields(message, "")}
    for message in ours.message_type:
        for name, number in fields(message, ""):
            assert published[name] == number, name


def fields(message: descriptor_pb2.DescriptorProto, outer: str) -> list[tuple[str, tuple[int, int, int]]]:
    """Path of every field, with number, type and label; nested messages and map entries included."""
    path = f"{outer}{message.name}."
    own = [(path + field.name, (field.number, field.type, field.label)) for field in message.field]
    return own + [pair for nested in message.nested_type for pair in fields(nested, path)]
