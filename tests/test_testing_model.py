"""The public fake model server: what tests that use it rely on."""

import grpc
import numpy as np
import pytest

from pilotfish.testing.model import MODEL_INFER, FakeModel, Refusal, infer_request, infer_response


async def call(address: str, method: str, request: bytes) -> bytes:
    async with grpc.aio.insecure_channel(address) as channel:
        answer: bytes = await channel.unary_unary(method)(request, metadata=(("x-user-id", "7"),))
        return answer


async def test_it_answers_what_it_was_told_and_notes_what_it_was_asked() -> None:
    async with FakeModel({MODEL_INFER: b"answer"}) as model:
        assert await call(model.address, MODEL_INFER, b"question") == b"answer"
    assert model.asked[0].method == MODEL_INFER
    assert model.asked[0].request == b"question"
    assert ("x-user-id", "7") in model.asked[0].metadata


async def test_an_answer_may_depend_on_the_request() -> None:
    async with FakeModel({"/a.B/C": lambda request: request[::-1]}) as model:
        assert await call(model.address, "/a.B/C", b"abc") == b"cba"


async def test_a_refusal_is_a_status() -> None:
    async with FakeModel({"/a.B/C": Refusal(grpc.StatusCode.NOT_FOUND, "no such model")}) as model:
        with pytest.raises(grpc.aio.AioRpcError, match="no such model") as caught:
            await call(model.address, "/a.B/C", b"")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_method_without_an_answer_is_unimplemented() -> None:
    async with FakeModel({}) as model:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(model.address, "/a.B/C", b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_its_messages_read_back_with_the_official_classes() -> None:
    messages = pytest.importorskip("tritonclient.grpc.service_pb2")
    tensors = {"x": np.arange(300, dtype=np.float32).reshape(150, 2), "label": np.array([1], dtype=np.int64)}
    request = messages.ModelInferRequest.FromString(infer_request("digits", tensors, version="v1"))
    response = messages.ModelInferResponse.FromString(infer_response("digits", tensors))
    assert (request.model_name, request.model_version) == ("digits", "v1")
    for named, raw in (
        (request.inputs, request.raw_input_contents),
        (response.outputs, response.raw_output_contents),
    ):
        assert [(t.name, t.datatype, list(t.shape)) for t in named] == [
            ("x", "FP32", [150, 2]),
            ("label", "INT64", [1]),
        ]
        assert raw[0] == tensors["x"].tobytes()


def test_a_dtype_that_the_protocol_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="dtype complex64"):
        infer_request("m", {"x": np.zeros(1, dtype=np.complex64)})
