"""The hand-written reader of messages against the official protobuf classes.

Whatever bytes protobuf accepts, the reader must see the same tensors in them, by the rules of the Open
Inference Protocol, which are written down here a second time in plain Python (`expected`). What protobuf
refuses, the reader may refuse or read, but it must not fail in any other way.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as oip

from pilotfish._core import decode

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
TORCHSERVE = "/org.pytorch.serve.grpc.openinference.GRPCInferenceService/ModelInfer"

Direction = Literal["input", "output"]
Read = dict[str, Any]

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP16": "bytes_contents",
    "BF16": "bytes_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
NUMPY = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "BF16": "<u2",  # the upper half of an FP32
    "FP32": "<f4",
    "FP64": "<f8",
}
UNKNOWN_FIELDS = [
    b"",
    b"\xc0\x3e\x01",
    b"\xc2\x3e\x02hi",
    b"\xc3\x3e\x08\x05\xc4\x3e",
    b"\xc5\x3e\x00\x00\x80\x3f",
]


class DefectError(Exception):
    """Why a tensor cannot be observed."""


# What is expected of a message, given what protobuf reads in it.


def expected(message: Any, direction: Direction) -> Read:
    tensors = message.inputs if direction == "input" else message.outputs
    raw = list(message.raw_input_contents if direction == "input" else message.raw_output_contents)
    observed, defects = [], {}
    for tensor, entry in zip(tensors, entries(tensors, raw), strict=True):
        try:
            observed.append(expected_tensor(tensor, entry, bool(raw), direction))
        except DefectError as defect:
            defects[tensor.name] = str(defect)
    return {
        "model": message.model_name,
        "version": message.model_version,
        "id": message.id,
        "tensors": observed,
        "defects": defects,
        "error": None,
    }


def entries(tensors: Sequence[Any], raw: list[bytes]) -> list[bytes | None]:
    """Raw entries are positional: over all tensors if enough, else over those not in shared memory."""
    rest = iter(raw)
    enough = len(raw) >= len(tensors)
    return [
        next(rest, None) if enough or "shared_memory_region" not in tensor.parameters else None
        for tensor in tensors
    ]


def expected_tensor(tensor: Any, entry: bytes | None, is_raw: bool, direction: Direction) -> Read:
    if "shared_memory_region" in tensor.parameters:
        raise DefectError("shared_memory")
    if tensor.datatype not in CONTENTS:
        raise DefectError("unknown_datatype")
    shape = list(tensor.shape)
    if len(shape) > 64 or any(not 0 <= extent < 2**32 for extent in shape):
        raise DefectError("shape_mismatch")
    if is_raw:
        if entry is None:
            raise DefectError("malformed_contents")
        if direction == "output" and not entry and 0 not in shape:
            raise DefectError("shared_memory")
        values = raw_values(tensor.datatype, entry)
    else:
        values = typed_values(tensor.datatype, tensor.contents)
    absurd = math.prod(max(extent, 1) for extent in shape) >= 2**64
    if absurd or len(values) != math.prod(shape):
        raise DefectError("shape_mismatch")
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": shape, "values": values}


def raw_values(datatype: str, entry: bytes) -> list[float] | list[bytes]:
    if datatype == "BYTES":
        return split(entry)
    if len(entry) % np.dtype(NUMPY[datatype]).itemsize:
        raise DefectError("malformed_contents")
    numbers = np.frombuffer(entry, "<u1" if datatype == "BOOL" else NUMPY[datatype])
    if datatype == "BOOL":
        numbers = numbers != 0
    if datatype == "BF16":
        numbers = (numbers.astype("<u4") << 16).view("<f4")
    return [float(number) for number in numbers]


def split(entry: bytes) -> list[bytes]:
    elements = []
    while entry:
        length = int.from_bytes(entry[:4], "little")
        if len(entry) < 4 + length:
            raise DefectError("malformed_contents")
        elements.append(entry[4 : 4 + length])
        entry = entry[4 + length :]
    return elements


def typed_values(datatype: str, contents: Any) -> list[float] | list[bytes]:
    elements = list(getattr(contents, CONTENTS[datatype]))
    if not elements and contents.ListFields():
        raise DefectError("malformed_contents")
    if datatype == "BYTES":
        return elements
    if datatype in ("FP16", "BF16"):
        if any(len(element) != 2 for element in elements):
            raise DefectError("malformed_contents")
        return raw_values(datatype, b"".join(elements))
    if datatype.lstrip("U").startswith("INT"):
        limits = np.iinfo(NUMPY[datatype])
        if not all(limits.min <= element <= limits.max for element in elements):
            raise DefectError("malformed_contents")
    return [float(element) for element in elements]


def assert_reads_as(read: Read, wanted: Read) -> None:
    assert {**read, "tensors": None} == {**wanted, "tensors": None}
    assert len(read["tensors"]) == len(wanted["tensors"])
    for tensor, want in zip(read["tensors"], wanted["tensors"], strict=True):
        assert {**tensor, "shape": list(tensor["shape"]), "values": None} == {**want, "values": None}
        if want["datatype"] == "BYTES":
            assert list(tensor["values"]) == want["values"]
        else:
            np.testing.assert_array_equal(np.asarray(tensor["values"], dtype=float), want["values"])


# Messages as clients and servers write them, and as nobody does.


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, list[int], list[Any]]:
    """A datatype, a shape and its elements; FP16 and BF16 elements are their two bytes."""
    datatype = draw(st.sampled_from(sorted(CONTENTS)))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    count = math.prod(shape)
    return datatype, shape, draw(st.lists(elements(datatype), min_size=count, max_size=count))


def elements(datatype: str) -> st.SearchStrategy[Any]:
    if datatype == "BOOL":
        return st.booleans()
    if datatype in ("FP16", "BF16"):
        return st.binary(min_size=2, max_size=2)
    if datatype == "BYTES":
        return st.binary(max_size=12)
    if datatype == "FP32":
        return st.floats(width=32)
    if datatype == "FP64":
        return st.floats()
    limits = np.iinfo(NUMPY[datatype])
    return st.integers(int(limits.min), int(limits.max))


def raw_entry(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value)) + value for value in values)
    if datatype in ("FP16", "BF16"):
        return b"".join(values)
    return np.array(values, dtype=NUMPY[datatype]).tobytes()


@st.composite
def tensors(draw: st.DrawFn, name: str, raw: bool, padded: bool) -> tuple[bytes, bytes | None]:
    """The message of a tensor, its fields in any order and pieces, and its raw entry if it has one.

    Where raw entries are `padded`, a tensor in shared memory has an empty one.
    """
    datatype, shape, values = draw(arrays())
    shared = draw(st.integers(0, 5)) == 0
    tensor = oip.ModelInferRequest.InferInputTensor
    pieces = [tensor(name=name), tensor(datatype=datatype)]
    pieces.append(tensor(parameters={"content_type": oip.InferParameter(string_param="np")}))
    if shared:
        pieces.append(tensor(parameters={"shared_memory_region": oip.InferParameter(string_param="r")}))
    elif raw and draw(st.booleans()):
        pieces.append(tensor(contents=oip.InferTensorContents()))
    order = draw(st.permutations([piece.SerializeToString() for piece in pieces]))
    cut = draw(st.integers(0, len(shape)))
    ordered = [tensor(shape=part).SerializeToString() for part in (shape[:cut], shape[cut:])]
    if not raw and not shared:
        cut = draw(st.integers(0, len(values)))
        for part in (values[:cut], values[cut:]):
            contents = oip.InferTensorContents(**{CONTENTS[datatype]: part})
            ordered.append(tensor(contents=contents).SerializeToString())
        if draw(st.integers(0, 5)) == 0:
            stray = oip.InferTensorContents(fp64_contents=[0.5], bytes_contents=[b"stray"])
            ordered.append(tensor(contents=stray).SerializeToString())
    unknown = draw(st.sampled_from(UNKNOWN_FIELDS))
    body = b"".join(draw(interleaved([list(order), ordered, [unknown]])))
    if not raw or (shared and not padded):
        return body, None
    return body, b"" if shared else raw_entry(datatype, values)


@st.composite
def interleaved(draw: st.DrawFn, lists: list[list[bytes]]) -> list[bytes]:
    """The elements of all lists, each list's own order kept."""
    turns = draw(st.permutations([which for which, each in enumerate(lists) for _ in each]))
    rests = [iter(each) for each in lists]
    return [next(rests[which]) for which in turns]


@st.composite
def messages(draw: st.DrawFn, direction: Direction) -> bytes:
    """A ModelInferRequest or ModelInferResponse."""
    raw, padded = draw(st.booleans()), draw(st.booleans())
    drawn = [draw(tensors(name, raw, padded)) for name in draw(st.sampled_from(["", "x", "xy", "xyz"]))]
    kind = oip.ModelInferRequest if direction == "input" else oip.ModelInferResponse
    raw_field = 7 if direction == "input" else 6
    heads = [
        kind(model_name=draw(st.text(max_size=8))),
        kind(model_name="digits", model_version="v1", id=draw(st.text(max_size=8))),
        kind(parameters={"triton_final_response": oip.InferParameter(bool_param=True)}),
    ]
    return b"".join(
        draw(
            interleaved(
                [
                    [head.SerializeToString() for head in heads],
                    [field(5, body) for body, _ in drawn],
                    [field(raw_field, entry) for _, entry in drawn if entry is not None],
                    [draw(st.sampled_from(UNKNOWN_FIELDS))],
                ]
            )
        )
    )


def field(number: int, body: bytes) -> bytes:
    length, encoded = len(body), b""
    while length >= 0x80:
        encoded += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + encoded + bytes([length]) + body


# === tests ===

like_other_languages = pytest.mark.skipif(
    api_implementation.Type() == "python",
    reason="protobuf's pure Python parser alone takes overlong tags for unknown, and 64-bit tags",
)


@given(messages("input"))
def test_a_request_reads_as_protobuf_reads_it(message: bytes) -> None:
    wanted = expected(oip.ModelInferRequest.FromString(message), "input")
    for method in (INFER, TORCHSERVE, STREAM):
        assert_reads_as(decode(method, "input", message), wanted)


@given(messages("output"))
def test_a_response_reads_as_protobuf_reads_it(message: bytes) -> None:
    wanted = expected(oip.ModelInferResponse.FromString(message), "output")
    assert_reads_as(decode(INFER, "output", message), wanted)


@given(messages("output"))
def test_a_streamed_response_reads_the_same_bare_and_wrapped(message: bytes) -> None:
    response = oip.ModelInferResponse.FromString(message)
    wanted = expected(response, "output")
    wrapped = oip.ModelStreamInferResponse(infer_response=response)
    assert_reads_as(decode(STREAM, "output", message), wanted)
    assert_reads_as(decode(STREAM, "output", wrapped.SerializeToString()), wanted)


@given(st.text(min_size=1), st.text())
def test_a_streamed_error_has_no_tensors(error: str, call: str) -> None:
    answer = oip.ModelStreamInferResponse(error_message=error, infer_response={"id": call})
    read = decode(STREAM, "output", answer.SerializeToString())
    assert (read["error"], read["id"]) == (error, call)
    assert (read["model"], read["tensors"], read["defects"]) == ("", [], {})


@given(arrays(), st.booleans())
def test_every_datatype_gives_its_elements_back(array: tuple[str, list[int], list[Any]], raw: bool) -> None:
    datatype, shape, values = array
    request = oip.ModelInferRequest(model_name="m")
    tensor = request.inputs.add(name="x", datatype=datatype, shape=shape)
    if raw:
        request.raw_input_contents.append(raw_entry(datatype, values))
    else:
        getattr(tensor.contents, CONTENTS[datatype]).extend(values)
    read = decode(INFER, "input", request.SerializeToString())
    assert read["defects"] == {}
    [tensor] = read["tensors"]
    assert (tensor["name"], tensor["datatype"], list(tensor["shape"])) == ("x", datatype, shape)
    if datatype in ("FP16", "BF16"):
        values = raw_values(datatype, b"".join(values))
    if datatype == "BYTES":
        assert list(tensor["values"]) == values
    else:
        np.testing.assert_array_equal(np.asarray(tensor["values"], float), np.asarray(values, float))


@like_other_languages
@given(st.data(), st.sampled_from(["input", "output"]))
def test_damaged_messages_read_as_protobuf_reads_them(data: st.DataObject, direction: Direction) -> None:
    message = bytearray(data.draw(messages(direction)))
    assume(message)
    for at in data.draw(st.lists(st.integers(0, len(message) - 1), min_size=1, max_size=4)):
        message[at] = data.draw(st.integers(0, 255))
    compare(bytes(message), direction)


@like_other_languages
@given(st.binary(max_size=200), st.sampled_from(["input", "output"]))
@example(b"\x2a\x05\x1a\x03\xff\xff\xff", "input")
@example(b"\x0e", "output")
def test_any_bytes_read_as_protobuf_reads_them(message: bytes, direction: Direction) -> None:
    compare(message, direction)


@given(st.data(), st.sampled_from(["input", "output"]))
def test_cut_messages_read_as_protobuf_reads_them(data: st.DataObject, direction: Direction) -> None:
    message = data.draw(messages(direction))
    compare(message[: data.draw(st.integers(0, len(message)))], direction)


def compare(message: bytes, direction: Direction) -> None:
    kind = oip.ModelInferRequest if direction == "input" else oip.ModelInferResponse
    try:
        wanted = expected(kind.FromString(message), direction)
    except (DecodeError, UnicodeDecodeError):
        refuses_or_reads(message, direction)
        return
    assert_reads_as(decode(INFER, direction, message), wanted)


def refuses_or_reads(message: bytes, direction: Direction) -> None:
    reasons = ("malformed", "invalid_utf8", "too_many_tensors", "compressed")
    with contextlib.suppress(ValueError):
        decode(INFER, direction, message)
        return
    with pytest.raises(ValueError, match="|".join(reasons)):
        decode(INFER, direction, message)


def test_an_unknown_method_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown_method"):
        decode("/inference.GRPCInferenceService/ServerLive", "input", b"")
