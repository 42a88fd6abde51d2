"""What a record of the journal holds of a kept call, and what it never holds."""

import base64
import hashlib
import json
import re

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotfish.call import KeptCall
from pilotfish.metadata import allowed, forbidden
from pilotfish.sinks.jsonl import line
from pilotfish.sinks.record import Identity, Recorder, code_name, trace_id
from pilotfish.testing.journal import kept_call


@pytest.mark.parametrize(
    "name",
    ["authorization", "Authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key",
     "x-csrf-token", "token", "x-amz-security-token", "authorization-bin", "x-session-token-bin", " cookie "],
)  # fmt: skip
def test_credentials_are_forbidden_however_they_are_spelled(name: str) -> None:
    assert forbidden(name)


@pytest.mark.parametrize(
    "name", ["x-user-id", "x-request-id", "traceparent", "tokenizer", "x-token-count", "user-agent"]
)
def test_ordinary_names_are_not_forbidden(name: str) -> None:
    assert not forbidden(name)


def test_an_allow_list_does_not_open_a_forbidden_name() -> None:
    sent = (("authorization", "Bearer s3cret"), ("cookie", "s3cret"), ("x-user-id", "ada"))
    assert allowed(sent, {"authorization", "cookie", "x-user-id"}) == {"x-user-id": ["ada"]}


def test_values_keep_their_order_and_binary_ones_become_base64() -> None:
    sent = (("x-tag", "b"), ("x-blob-bin", b"\x00\xff"), ("x-tag", "a"), ("x-other", "no"))
    assert allowed(sent, {"x-tag", "x-blob-bin"}) == {"x-tag": ["b", "a"], "x-blob-bin": ["AP8="]}


# === records ===


def test_status_names_are_those_of_grpc() -> None:
    for status in grpc.StatusCode:
        assert code_name(status.value[0]) == status.name
    assert code_name(99) == "CODE_99"


@pytest.mark.parametrize("header", [None, "", "junk", f"00-{'0' * 32}-b7ad6b7169203331-01", "00-12-34-01"])
def test_a_trace_id_that_is_none_is_none(header: str | None) -> None:
    assert trace_id(header) is None


def test_a_trace_id_keeps_its_leading_zeros() -> None:
    assert (
        trace_id("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        == "0af7651916cd43dd8448eb211c80319c"
    )


def test_a_record_says_when_in_utc_and_how_long_in_seconds() -> None:
    record = Recorder().record(kept_call(started_unix_ns=1_700_000_000_000_001_999))
    assert record["time"] == "2023-11-14T22:13:20.000001Z"
    assert (record["duration_seconds"], record["upstream_seconds"]) == (0.0025, 0.002)


def test_messages_stay_out_unless_asked_for() -> None:
    record = Recorder().record(kept_call(request=b"private", request_bytes=7))
    assert record["request"] == {"size": 7, "sha256": None, "payload": None, "truncated": False}
    assert b"private" not in line(record)
    assert base64.b64encode(b"private") not in line(record)


def test_a_long_message_is_cut_and_keeps_its_size_and_hash() -> None:
    message = bytes(range(256)) * 8
    request = Recorder(payloads=True, max_payload=100).record(kept_call(request=message, request_bytes=2048))[
        "request"
    ]
    assert request["payload"] == message[:100]
    assert request["truncated"]
    assert request["size"] == 2048
    assert request["sha256"] == hashlib.sha256(message).hexdigest()


def test_record_ids_are_unique_across_processes_and_rise_within_one() -> None:
    moment = 1_790_000_000_000_000_000
    one, other = Identity(), Identity()
    given_out = [one.next(moment) for _ in range(1000)]
    assert given_out == sorted(given_out)
    assert len({*given_out, *(other.next(moment) for _ in range(1000))}) == 2000
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", identifier) for identifier in given_out)
    assert one.next(moment + 1_000_000) > given_out[-1]


anything = st.text(st.characters(), max_size=30)
calls = st.builds(
    kept_call,
    call_id=anything,
    message=anything,
    method=anything,
    code=st.integers(-5, 99),
    started_unix_ns=st.integers(-(2**70), 2**70),
    request=st.none() | st.binary(max_size=50),
    metadata=st.lists(
        st.tuples(st.sampled_from(["x-user-id", "x-b-bin"]), anything | st.binary(max_size=9)), max_size=3
    ).map(tuple),
    traceparent=st.none() | anything,
)


@given(calls)
def test_no_client_can_break_a_line_or_a_record(call: KeptCall) -> None:
    record = Recorder(frozenset({"x-user-id", "x-b-bin"}), payloads=True, max_payload=10).record(call)
    written = line(record)
    assert written.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in written[:-1])
    decoded = json.loads(written)
    assert decoded["call_id"] == record["call_id"]
    record["message"].encode()  # Unicode that every format can hold
