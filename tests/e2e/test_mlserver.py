"""MLServer behind the sidecar: a client cannot tell, and the snapshot knows what passed."""

import math
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2

from e2e.calls import INFER, UNLIMITED, Answer, Rows, ask, request, wine
from e2e.sidecar import Sidecar

pytestmark = pytest.mark.peers

SERVICE = "/inference.GRPCInferenceService/"
FORMS = ("raw", "typed")


def same(model: str, sidecar: Sidecar, message: bytes, method: str = INFER, **options: Any) -> Answer:
    """Ask both; the answer both gave."""
    direct = ask(model, message, method, **options)
    assert ask(sidecar.address, message, method, **options) == direct
    return direct


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("form", FORMS)
def test_answers_are_the_models_byte_for_byte(
    model: str, sidecar: Sidecar, form: str, rows: int, datatype: str
) -> None:
    answer = same(model, sidecar, request(wine(rows, datatype), form))
    assert answer.code is grpc.StatusCode.OK
    assert service_pb2.ModelInferResponse.FromString(answer.message or b"").outputs[0].shape == [rows, 1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests_are_answered_alike(
    model: str, sidecar: Sidecar, form: str, compression: grpc.Compression
) -> None:
    answer = same(model, sidecar, request(wine(64), form), compression=compression)
    assert answer.code is grpc.StatusCode.OK


@pytest.mark.parametrize("form", FORMS)
def test_a_message_above_the_usual_limit_passes(model: str, sidecar: Sidecar, form: str) -> None:
    message = request(wine(120_000, "FP32"), form)
    assert len(message) > 6_000_000
    answer = same(model, sidecar, message)
    assert answer.code is grpc.StatusCode.OK
    assert len(answer.message or b"") > 100_000


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (request(wine(1), "raw", model="grapes"), grpc.StatusCode.NOT_FOUND),
        (request(wine(1), "raw", version="v9"), grpc.StatusCode.NOT_FOUND),
        (request(wine(1)[:, :9], "raw"), grpc.StatusCode.INTERNAL),
        (request(wine(1), "raw")[:-40], grpc.StatusCode.UNKNOWN),
        (b"not a message at all", grpc.StatusCode.UNKNOWN),
    ],
    ids=["unknown model", "unknown version", "too few columns", "cut message", "no message"],
)
def test_errors_are_the_models_own(
    model: str, sidecar: Sidecar, message: bytes, code: grpc.StatusCode
) -> None:
    answer = same(model, sidecar, message)
    assert answer.code is code
    assert answer.details


def test_a_payload_shorter_than_its_shape_fails_as_it_would_without_the_sidecar(
    model: str, sidecar: Sidecar
) -> None:
    message = service_pb2.ModelInferRequest.FromString(request(wine(2), "raw"))
    message.raw_input_contents[0] = message.raw_input_contents[0][:10]
    answer = same(model, sidecar, message.SerializeToString())
    assert answer.code is grpc.StatusCode.INTERNAL
    assert "unpack requires a buffer" in answer.details


@pytest.mark.parametrize("method", ["ServerLive", "ServerReady", "ServerMetadata", "NoSuchMethod"])
def test_every_other_method_passes(model: str, sidecar: Sidecar, method: str) -> None:
    same(model, sidecar, b"", method=SERVICE + method)


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata"])
@pytest.mark.parametrize("name", ["wine", "grapes"])
def test_methods_about_a_model_pass(model: str, sidecar: Sidecar, method: str, name: str) -> None:
    message = service_pb2.ModelReadyRequest(name=name).SerializeToString()
    same(model, sidecar, message, method=SERVICE + method)


def test_trailers_and_the_id_of_the_call_come_back(model: str, sidecar: Sidecar) -> None:
    message = request(wine(1), "raw", identity="visit-7")
    answer = same(model, sidecar, message, metadata=(("x-user-id", "ada"), ("x-trace-bin", b"\x00\xff")))
    assert service_pb2.ModelInferResponse.FromString(answer.message or b"").id == "visit-7"
    assert dict(answer.trailing)["ce-id"] == "visit-7"  # MLServer adds CloudEvents to its trailers


def test_a_stream_passes_message_by_message(model: str, sidecar: Sidecar) -> None:
    messages = [request(wine(2), "raw", identity=f"part-{part}") for part in range(3)]
    assert streamed(sidecar.address, messages) == streamed(model, messages)


def streamed(address: str, messages: list[bytes]) -> tuple[list[bytes], grpc.StatusCode]:
    with grpc.insecure_channel(address, options=UNLIMITED) as channel:
        call = channel.stream_stream(SERVICE + "ModelStreamInfer")(iter(messages), timeout=30)
        return list(call), call.code()


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("rows", [1, 64])
def test_tritonclient_gets_the_same_result(
    model: str, sidecar: Sidecar, rows: int, compression: str | None
) -> None:
    direct, through = (tritonclient(address, wine(rows), compression) for address in (model, sidecar.address))
    assert direct.get_response() == through.get_response()
    np.testing.assert_array_equal(direct.as_numpy("predict"), through.as_numpy("predict"))


def test_tritonclient_gets_the_same_error(model: str, sidecar: Sidecar) -> None:
    errors = []
    for address in (model, sidecar.address):
        with pytest.raises(triton.InferenceServerException) as raised:
            tritonclient(address, wine(1), None, name="grapes")
        errors.append((raised.value.status(), raised.value.message()))
    assert errors[0] == errors[1]


def tritonclient(address: str, rows: Rows, compression: str | None, name: str = "wine") -> triton.InferResult:
    tensor = triton.InferInput("x", list(rows.shape), "FP64")
    tensor.set_data_from_numpy(rows)
    asked = {"parameters": {"reason": "audit", "urgent": True, "depth": 3}, "request_id": "call-1"}
    with triton.InferenceServerClient(address) as client:
        return client.infer(name, [tensor], compression_algorithm=compression, client_timeout=30, **asked)


def test_the_snapshot_counts_calls_by_method_and_status(model: str, fresh_sidecar: Sidecar) -> None:
    ask(fresh_sidecar.address, request(wine(1), "raw", model="grapes"))
    ask(fresh_sidecar.address, b"", method=SERVICE + "ServerReady")
    for _ in range(5):
        ask(fresh_sidecar.address, request(wine(2), "raw"))
    taken = fresh_sidecar.snapshot()
    counted = {(series["method"], series["code"]): series["count"] for series in taken["calls"]["series"]}
    assert counted == {
        (SERVICE.strip("/") + "/ModelInfer", "OK"): 5,
        (SERVICE.strip("/") + "/ModelInfer", "NOT_FOUND"): 1,
        (SERVICE.strip("/") + "/ServerReady", "OK"): 1,
    }
    assert taken["calls"]["total"] == 7


def test_no_call_is_lost_between_journal_and_statistics(model: str, fresh_sidecar: Sidecar) -> None:
    for _ in range(20):
        ask(fresh_sidecar.address, request(wine(1), "raw"))
    taken = fresh_sidecar.snapshot()
    journal, seen = taken["journal"], taken["statistics"]
    accounted = (
        journal["kept"] + journal["sampled_out"] + journal["queued"] + sum(journal["dropped"].values())
    )
    assert journal["observed"] == accounted == 20
    accounted = (
        seen["decoded"]
        + seen["thinned"]
        + sum(seen["unreadable"].values())
        + sum(seen["dropped"].values())
        + seen["queued"]
    )
    assert seen["offered"] == accounted
    assert not seen["unreadable"]
    assert not seen["dropped"]


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", [1, 64])
def test_feature_means_are_numpys(
    model: str, fresh_sidecar: Sidecar, form: str, batch: int, datatype: str
) -> None:
    rows = wine(192 if batch == 64 else 24, datatype)
    for start in range(0, len(rows), batch):
        answer = ask(fresh_sidecar.address, request(rows[start : start + batch], form))
        assert answer.code is grpc.StatusCode.OK
    (watched,) = fresh_sidecar.snapshot()["models"]
    assert (watched["model"], watched["rows"], watched["missing"]) == ("wine", len(rows), 0)
    assert watched["batch"] == {"min": batch, "max": batch, "mean": batch}
    for column in range(rows.shape[1]):
        check_feature(input_feature(watched, f"x[{column}]"), rows[:, column].astype(np.float64))


def input_feature(watched: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [f for f in watched["features"] if f["name"] == name and f["direction"] == "input"]
    return dict(found)


def check_feature(feature: dict[str, Any], values: Rows) -> None:
    assert feature["count"] == len(values)
    assert feature["mean"] == pytest.approx(values.mean(), rel=1e-9)
    assert feature["std"] in (
        pytest.approx(values.std(), rel=1e-6),
        pytest.approx(values.std(ddof=1), rel=1e-6),
    )
    assert (feature["min"], feature["max"]) == (values.min(), values.max())


def test_missing_values_are_counted_and_stay_out_of_the_mean(model: str, fresh_sidecar: Sidecar) -> None:
    rows = wine(8)
    rows[6, 5] = math.nan
    rows[7, 5] = math.inf
    answers = [ask(fresh_sidecar.address, request(part, "raw")) for part in (rows[:4], rows[4:])]
    # scikit-learn refuses the second half; the features of calls that fail are watched all the same.
    assert [answer.code for answer in answers] == [grpc.StatusCode.OK, grpc.StatusCode.INTERNAL]
    (watched,) = fresh_sidecar.snapshot()["models"]
    feature = input_feature(watched, "x[5]")
    assert (feature["nan"], feature["pos_inf"], feature["missing"]) == (1, 1, 1)
    assert feature["mean"] == pytest.approx(rows[:6, 5].mean(), rel=1e-9)


def test_predictions_are_counted_by_class(model: str, fresh_sidecar: Sidecar) -> None:
    answer = ask(fresh_sidecar.address, request(wine(150), "raw"))
    predicted = np.frombuffer(
        service_pb2.ModelInferResponse.FromString(answer.message or b"").raw_output_contents[0], "<i8"
    )
    (watched,) = fresh_sidecar.snapshot()["models"]
    (feature,) = [f for f in watched["features"] if f["direction"] == "output"]
    assert feature["name"] == "predict"
    assert feature["count"] == 150
    assert len(set(predicted.tolist())) == 3
