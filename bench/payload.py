"""What is sent: a KServe v2 ModelInfer request with one raw FP32 tensor, and the reply, framed for gRPC.

A monitor that is on really decodes it. Written by hand (two wire types suffice), so that the benchmark needs
no protobuf at all. Field numbers: protos/inference/grpc_service.proto.
"""

import random
import struct
from dataclasses import dataclass

METHOD = "/inference.GRPCInferenceService/ModelInfer"
COMPRESSED_FLAG_AND_LENGTH = struct.Struct(">BI")


@dataclass(frozen=True)
class Payload:
    """A named request: ``rows`` x ``columns`` float32 in ``raw_input_contents``."""

    name: str
    rows: int
    columns: int

    @property
    def values(self) -> int:
        """Feature values in one request."""
        return self.rows * self.columns

    def message(self) -> bytes:
        """The request without its gRPC frame; the same bytes every time."""
        draw = random.Random(7)
        raw = struct.pack(f"<{self.values}f", *(draw.gauss(0.0, 1.0) for _ in range(self.values)))
        return text(1, "m") + field(5, tensor("x", "FP32", (self.rows, self.columns))) + field(7, raw)


# Nearest to the round sizes of the table with whole rows: the larger two are 128 features wide.
PAYLOADS = {
    payload.name: payload
    for payload in (
        Payload("100B", 1, 18),
        Payload("row", 1, 128),
        Payload("4KiB", 8, 128),
        Payload("64KiB", 128, 128),
        Payload("1MiB", 2048, 128),
    )
}


def reply() -> bytes:
    """A ModelInferResponse with two scores for one row, without its gRPC frame."""
    return text(1, "m") + field(5, tensor("y", "FP32", (1, 2))) + field(6, struct.pack("<2f", 0.25, 0.75))


def framed(message: bytes) -> bytes:
    """A gRPC message on the wire: not compressed, length, bytes."""
    return COMPRESSED_FLAG_AND_LENGTH.pack(0, len(message)) + message


def tensor(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """An InferInputTensor or InferOutputTensor: the two agree in these three fields."""
    return text(1, name) + text(2, datatype) + field(3, b"".join(varint(size) for size in shape))


def text(number: int, value: str) -> bytes:
    return field(number, value.encode())


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
