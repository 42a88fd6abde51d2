"""The model server: the digits models behind the KServe v2 protocol, as MLServer or Triton would serve them.

It runs in a process of its own (``python -m pilotfish.demo.server``), so that it shares no interpreter lock
with the sidecar, and answers with the official stubs. It prints one JSON line, the address of each version,
once all are up, and ends when its standard input closes: it cannot outlive whoever started it.
"""

import argparse
import asyncio
import json
import sys
import threading
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc as services

from pilotfish.demo import models
from pilotfish.demo.lens import Images

SIDE = 8
FLOAT_BYTES = 4


class RefusalError(Exception):
    """A request that cannot be answered, with the gRPC status to say so."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class DigitsService(services.GRPCInferenceServiceServicer):  # type: ignore[misc] # the stubs ship no types
    """One version of the digits model. Methods it does not define answer UNIMPLEMENTED."""

    def __init__(self, version: str, model: models.Model) -> None:
        self._version = version
        self._model = model

    async def ServerLive(self, _request: Any, _context: Any) -> Any:  # noqa: N802 (named by the protocol)
        """The process answers."""
        return messages.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """The model is trained before the port opens."""
        return messages.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Whether that model can be called."""
        await self._known(request.name, request.version, context)
        return messages.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Who serves."""
        return messages.ServerMetadataResponse(name="pilotfish-demo", version=self._version)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Names, datatypes and shapes of the tensors."""
        await self._known(request.name, request.version, context)
        return metadata(self._version)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Classify a batch of images."""
        await self._known(request.model_name, request.model_version, context)
        try:
            return infer(request, self._version, self._model)
        except RefusalError as refusal:
            await context.abort(refusal.code, refusal.message)

    async def _known(self, name: str, version: str, context: Any) -> None:
        if name != models.NAME or version not in ("", self._version):
            named = f"{name!r}" + (f" version {version!r}" if version else "")
            held = f"{models.NAME!r} version {self._version!r}"
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no model {named} here: this server holds {held}")


def infer(request: Any, version: str, model: models.Model) -> Any:
    """The answer to a ``ModelInferRequest``, raw or typed like the request. Raises RefusalError."""
    images = read_images(request)
    probabilities = model.probabilities(images)
    found = {"label": probabilities.argmax(axis=1).astype(np.int64), "proba": probabilities}
    response = messages.ModelInferResponse(model_name=models.NAME, model_version=version, id=request.id)
    raw = bool(request.raw_input_contents)
    for name in [output.name for output in request.outputs] or list(found):
        if name not in found:
            raise _invalid(f"there is no output {name!r}: ask for {' or '.join(found)}")
        _add_output(response, name, found[name], raw)
    return response


def read_images(request: Any) -> Images:
    """The batch of images in a ``ModelInferRequest``. Raises RefusalError when that is not what it holds."""
    if [tensor.name for tensor in request.inputs] != ["image"]:
        raise _invalid("give exactly one input tensor, named 'image'")
    tensor = request.inputs[0]
    shape = list(tensor.shape)
    if tensor.datatype != "FP32":
        raise _invalid(f"input 'image' has datatype {tensor.datatype}: send FP32")
    if len(shape) != 3 or shape[0] < 1 or shape[1:] != [SIDE, SIDE]:
        raise _invalid(f"input 'image' has shape {shape}: send [n, {SIDE}, {SIDE}] with n of at least 1")
    elements = shape[0] * SIDE * SIDE
    if request.raw_input_contents:
        return _raw_images(request.raw_input_contents, elements)
    if len(tensor.contents.fp32_contents) != elements:
        held = len(tensor.contents.fp32_contents)
        raise _invalid(f"input 'image' holds {held} numbers where its shape says {elements}")
    return np.array(tensor.contents.fp32_contents, dtype=np.float32).reshape(-1, SIDE, SIDE)


def _raw_images(raw: Any, elements: int) -> Images:
    if len(raw) != 1 or len(raw[0]) != elements * FLOAT_BYTES:
        held = sum(len(part) for part in raw)
        raise _invalid(f"input 'image' holds {held} raw bytes where its shape says {elements * FLOAT_BYTES}")
    return np.frombuffer(raw[0], dtype="<f4").reshape(-1, SIDE, SIDE)


def _add_output(response: Any, name: str, values: Any, raw: bool) -> None:
    integer = values.dtype == np.int64
    output = response.outputs.add(name=name, datatype="INT64" if integer else "FP32", shape=values.shape)
    if raw:
        response.raw_output_contents.append(values.astype("<i8" if integer else "<f4").tobytes())
    elif integer:
        output.contents.int64_contents.extend(values.ravel().tolist())
    else:
        output.contents.fp32_contents.extend(values.ravel().tolist())


def metadata(version: str) -> Any:
    """The ``ModelMetadataResponse`` of one version; -1 stands for the batch."""
    response = messages.ModelMetadataResponse(name=models.NAME, versions=[version], platform="scikit-learn")
    response.inputs.add(name="image", datatype="FP32", shape=[-1, SIDE, SIDE])
    response.outputs.add(name="label", datatype="INT64", shape=[-1])
    response.outputs.add(name="proba", datatype="FP32", shape=[-1, models.CLASSES])
    return response


def _invalid(message: str) -> RefusalError:
    return RefusalError(grpc.StatusCode.INVALID_ARGUMENT, message)


async def serve(seed: int) -> None:
    """Serve every version on a free loopback port until standard input closes."""
    training, _live = models.halves(seed)
    servers, addresses = [], {}
    for version in models.VERSIONS:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        service = DigitsService(version, models.Model(version, training))
        services.add_GRPCInferenceServiceServicer_to_server(service, server)
        addresses[version] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        servers.append(server)
    sys.stdout.write(json.dumps(addresses) + "\n")
    sys.stdout.flush()
    await input_closed()
    await asyncio.gather(*(server.stop(0.5) for server in servers))


async def input_closed() -> None:
    """Wait until whoever started this process closes its standard input, or is gone."""
    closed, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=wait, name="input", daemon=True).start()
    await closed.wait()


def main() -> None:
    """Entry of ``python -m pilotfish.demo.server``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=1, help="how the digits are split into training and live half"
    )
    asyncio.run(serve(parser.parse_args().seed))


if __name__ == "__main__":
    main()
