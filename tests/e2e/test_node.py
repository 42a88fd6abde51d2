"""Node's grpc-js through the sidecar: an implementation of gRPC that shares no code with grpcio."""

import base64
import json
import os
import subprocess
from typing import Any

import pytest

from e2e.calls import wine
from e2e.process import PEERS, ROOT, peer
from e2e.sidecar import Sidecar

pytestmark = pytest.mark.peers

PROTO = ROOT / "protos" / "inference" / "grpc_service.proto"
SCRIPT = ROOT / "tests" / "e2e" / "node" / "infer.js"
GZIP = 2  # grpc-js: CompressionAlgorithms.gzip
NOT_FOUND = 5


def infer(address: str, request: dict[str, Any], compression: int = 0) -> dict[str, Any]:
    peer("node/.made")
    done = subprocess.run(
        ["node", str(SCRIPT), str(PROTO), address],
        input=json.dumps({"request": request, "compression": compression}),
        env={**os.environ, "NODE_MODULES": str(PEERS / "node" / "node_modules")},
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def asked(form: str, rows: int, model: str = "wine") -> dict[str, Any]:
    values = wine(rows)
    tensor: dict[str, Any] = {"name": "x", "datatype": "FP64", "shape": list(values.shape)}
    request: dict[str, Any] = {"model_name": model, "id": "node-1", "inputs": [tensor]}
    if form == "raw":
        request["raw_input_contents"] = [base64.b64encode(values.tobytes()).decode()]
    else:
        tensor["contents"] = {"fp64_contents": values.ravel().tolist()}
    return request


@pytest.mark.parametrize("compression", [0, GZIP], ids=["plain", "gzip"])
@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("form", ["raw", "typed"])
def test_node_gets_the_same_answer(
    model: str, sidecar: Sidecar, form: str, rows: int, compression: int
) -> None:
    direct, through = (infer(address, asked(form, rows), compression) for address in (model, sidecar.address))
    assert through == direct
    assert direct["response"]["id"] == "node-1"


def test_node_gets_the_same_error(model: str, sidecar: Sidecar) -> None:
    direct, through = (infer(address, asked("raw", 1, "grapes")) for address in (model, sidecar.address))
    assert through == direct
    assert direct["error"]["code"] == NOT_FOUND


def test_what_node_sent_is_counted(model: str, fresh_sidecar: Sidecar) -> None:
    infer(fresh_sidecar.address, asked("raw", 64))
    infer(fresh_sidecar.address, asked("typed", 1))
    (watched,) = fresh_sidecar.snapshot()["models"]
    assert (watched["calls"], watched["rows"]) == (2, 65)
