"""Calls to the wine model: requests in both forms, and everything a client sees of one answer."""

from dataclasses import dataclass

import grpc
import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_wine
from tritonclient.grpc import service_pb2

INFER = "/inference.GRPCInferenceService/ModelInfer"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
DATATYPES = {"FP32": np.float32, "FP64": np.float64}
Rows = npt.NDArray[np.floating]

# What a server says about itself and the moment, not about the call.
OF_THE_MOMENT = frozenset({"date", "user-agent", "grpc-accept-encoding", "accept-encoding"})


@dataclass(frozen=True)
class Answer:
    """One answer as seen on the wire: message bytes, status, and both blocks of metadata."""

    message: bytes | None
    code: grpc.StatusCode
    details: str
    initial: tuple[tuple[str, str | bytes], ...]
    trailing: tuple[tuple[str, str | bytes], ...]


def wine(rows: int, datatype: str = "FP64") -> Rows:
    """So many rows of the data set, all classes mixed, from the beginning again when it ends."""
    data = np.random.default_rng(7).permutation(load_wine(return_X_y=True)[0])
    return np.resize(data, (rows, data.shape[1])).astype(DATATYPES[datatype])


def request(rows: Rows, form: str, identity: str = "call-1", model: str = "wine", version: str = "") -> bytes:
    """A ModelInferRequest: ``form`` is raw or typed."""
    datatype = {np.float32: "FP32", np.float64: "FP64"}[rows.dtype.type]
    message = service_pb2.ModelInferRequest(model_name=model, model_version=version, id=identity)
    tensor = message.inputs.add(name="x", datatype=datatype, shape=rows.shape)
    if form == "raw":
        message.raw_input_contents.append(rows.tobytes())
    else:
        getattr(tensor.contents, f"{datatype.lower()}_contents").extend(rows.ravel().tolist())
    return message.SerializeToString()


def ask(
    address: str,
    message: bytes,
    method: str = INFER,
    metadata: tuple[tuple[str, str | bytes], ...] = (),
    compression: grpc.Compression = grpc.Compression.NoCompression,
) -> Answer:
    """One unary call, bytes in, bytes out."""
    with grpc.insecure_channel(address, options=UNLIMITED) as channel:
        call = channel.unary_unary(method).future(
            message, timeout=30, metadata=metadata, compression=compression
        )
        failed = call.exception() is not None
        return Answer(
            message=None if failed else call.result(),
            code=call.code(),
            details=call.details(),
            initial=lasting(call.initial_metadata()),
            trailing=lasting(call.trailing_metadata()),
        )


def lasting(metadata: grpc.aio.Metadata) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((key, value) for key, value in metadata or () if key not in OF_THE_MOMENT)
