"""A fake model server with scripted answers, in bytes, for tests of anything that stands before a model.

It answers any method over real gRPC on a loopback port, notes what it was asked, and needs no protobuf. Two
functions write the KServe v2 messages that most tests want.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias

import grpc
import numpy as np
import numpy.typing as npt

MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
_DATATYPES = {
    "b1": "BOOL", "u1": "UINT8", "u2": "UINT16", "u4": "UINT32", "u8": "UINT64", "i1": "INT8", "i2": "INT16",
    "i4": "INT32", "i8": "INT64", "f2": "FP16", "f4": "FP32", "f8": "FP64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer with a gRPC status other than OK."""

    code: grpc.StatusCode
    message: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call that the fake model has received."""

    method: str
    request: bytes
    metadata: tuple[tuple[str, str | bytes], ...]


Answer: TypeAlias = bytes | Refusal | Callable[[bytes], "bytes | Refusal"]
"""What to answer to a unary call; a function is given the request. A method without one is UNIMPLEMENTED."""


class FakeModel:
    """An in-process model server.

    ``async with FakeModel({MODEL_INFER: response}) as model:`` then dial ``model.address``.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        """``answers`` maps full method names to what is answered; it may be changed while the server runs."""
        self.answers = dict(answers)
        self.asked: list[Asked] = []
        self.address = ""

    async def __aenter__(self) -> "FakeModel":
        self._server = grpc.aio.server(
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
        )
        self._server.add_generic_rpc_handlers((_AnyMethod(self),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)


class _AnyMethod(grpc.GenericRpcHandler):
    def __init__(self, model: FakeModel) -> None:
        self._model = model

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        method = details.method
        if method not in self._model.answers:
            return None

        async def answer(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            metadata = tuple((key, value) for key, value in context.invocation_metadata() or ())
            self._model.asked.append(Asked(method, request, metadata))
            scripted = self._model.answers[method]
            found = scripted(request) if callable(scripted) else scripted
            if isinstance(found, Refusal):
                await context.abort(found.code, found.message)
            return found

        return grpc.unary_unary_rpc_method_handler(answer)


def infer_request(model: str, tensors: Mapping[str, npt.NDArray[np.generic]], version: str = "") -> bytes:
    """A ``ModelInferRequest`` with raw contents."""
    named = _text(1, model) + _text(2, version)
    return named + b"".join(_field(5, _tensor(*item)) for item in tensors.items()) + _raw(7, tensors)


def infer_response(model: str, tensors: Mapping[str, npt.NDArray[np.generic]], version: str = "") -> bytes:
    """A ``ModelInferResponse`` with raw contents."""
    named = _text(1, model) + _text(2, version)
    return named + b"".join(_field(5, _tensor(*item)) for item in tensors.items()) + _raw(6, tensors)


def _tensor(name: str, values: npt.NDArray[np.generic]) -> bytes:
    kind = f"{values.dtype.kind}{values.dtype.itemsize}"
    if kind not in _DATATYPES:
        raise ValueError(f"tensor {name!r} has dtype {values.dtype}: give one of {', '.join(_DATATYPES)}")
    shape = b"".join(_varint(extent) for extent in values.shape)
    return _text(1, name) + _text(2, _DATATYPES[kind]) + _field(3, shape)


def _raw(number: int, tensors: Mapping[str, npt.NDArray[np.generic]]) -> bytes:
    return b"".join(
        _field(number, values.astype(values.dtype.newbyteorder("<")).tobytes()) for values in tensors.values()
    )


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode()) if text else b""


def _field(number: int, content: bytes) -> bytes:
    """One length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
