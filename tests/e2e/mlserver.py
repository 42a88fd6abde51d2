"""MLServer with the wine model, as its documentation says to start it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import tritonclient.grpc as triton

from e2e.process import free_port, peer, running

MODEL = {
    "name": "wine",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.joblib", "version": "v1"},
}


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Train, serve, and give the gRPC address."""
    port = free_port()
    model = directory / "wine"
    model.mkdir(parents=True)
    write(directory / "settings.json", settings(port))
    write(model / "model-settings.json", MODEL)
    trainer = Path(__file__).with_name("wine.py")
    subprocess.run([peer("mlserver/bin/python"), str(trainer), str(model)], check=True, timeout=120)
    program = peer("mlserver/bin/mlserver")
    path = {**os.environ, "PATH": f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"}
    address = f"127.0.0.1:{port}"
    with running([program, "start", "."], directory, lambda: answers(address), limit=120, environment=path):
        yield address


def settings(port: int) -> dict[str, object]:
    """Its message limit is raised: a sidecar must not be the narrower one."""
    return {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": free_port(),
        "grpc_port": port,
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "grpc_max_message_length": 64 * 1024 * 1024,
    }


def write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content))


def answers(address: str) -> bool:
    with triton.InferenceServerClient(address) as client:
        try:
            return bool(client.is_model_ready("wine", client_timeout=2))
        except (triton.InferenceServerException, grpc.RpcError):
            return False
