"""The log: one line per event, no secrets, nothing a client sent can fake or hide a line."""

import io
import json
import logging
from typing import Any

import pytest
import structlog

from pilotfish import log
from pilotfish.traceparent import TraceParent, parse

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


pytestmark = pytest.mark.usefixtures("restored_logging")


def written(form: Any = "json", level: Any = "info") -> io.StringIO:
    stream = io.StringIO()
    log.configure(level, form, stream)
    return stream


def speak(form: Any = "json", event: str = "said", **values: Any) -> str:
    stream = written(form)
    structlog.get_logger("pilotfish.test").warning(event, **values)
    return stream.getvalue()


def test_a_line_is_one_json_object_beginning_with_when_how_bad_who_and_what() -> None:
    line = speak(port=9000)
    assert line.count("\n") == 1
    assert list(json.loads(line)) == ["timestamp", "level", "logger", "event", "port"]
    assert json.loads(line) | {"timestamp": ""} == {
        "timestamp": "", "level": "warning", "logger": "pilotfish.test", "event": "said", "port": 9000
    }  # fmt: skip


def test_the_trace_of_a_call_is_named() -> None:
    line = json.loads(speak(traceparent=TRACEPARENT))
    assert (line["trace_id"], line["span_id"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert "traceparent" not in line
    assert "trace_id" not in json.loads(speak(traceparent="nonsense"))
    assert "trace_id" not in json.loads(speak(traceparent=None))


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "hostile",
    ["a\nfake line", "\x1b[2J\x1b[31mred", "a\rb", "\u202egnp.exe", "\x9b31m", "a\u2028b", "\x00", "\ud800"],
)
def test_nothing_in_a_value_can_move_the_cursor_or_begin_a_line(form: str, hostile: str) -> None:
    for line in (speak(form, value=hostile), speak(form, event=hostile), speak(form, nested=[hostile])):
        assert line.count("\n") == 1
        assert line.isprintable() or line[:-1].isprintable()
        line.encode("utf-8")


def test_a_traceback_keeps_its_lines_on_the_console_but_not_the_controls_in_its_message() -> None:
    stream = written("console")
    try:
        raise ValueError("bad \x1b[31m value")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "Traceback (most recent call last):\n" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "values",
    [
        {"authorization": "S3CRET"},
        {"x_api_key": "S3CRET"},
        {"metadata": {"x-auth-token": "S3CRET", "x-user": "u"}},
        {"metadata": (("cookie", "S3CRET"), ("x-user", "u"))},
        {"deep": {"a": [{"password": "S3CRET"}]}},
        {"header": "Authorization: Bearer S3CRETS3CRET"},
        {"url": "http://user:S3CRET@collector:4317"},
    ],
)
def test_secrets_are_never_written(form: str, values: dict[str, Any]) -> None:
    assert "S3CRET" not in speak(form, **values)
    assert "***" in speak(form, **values)


def test_values_json_does_not_know_are_written_all_the_same() -> None:
    line = json.loads(speak(mean=float("nan"), raw=b"\xff", what=object), parse_constant=pytest.fail)
    assert line["mean"] == "nan"
    assert line["raw"] == "b'\\xff'"


def test_what_is_below_the_level_is_not_written() -> None:
    stream = written(level="warning")
    structlog.get_logger().info("quiet")
    assert stream.getvalue() == ""


def test_libraries_speak_in_the_same_form_and_under_the_same_rules() -> None:
    stream = written()
    logging.getLogger("some.library").warning("cannot reach %s", "http://u:S3CRET@host")
    line = json.loads(stream.getvalue())
    assert (line["logger"], line["level"]) == ("some.library", "warning")
    assert line["event"] == "cannot reach http://***@host"


def test_a_library_that_repeats_itself_is_heard_once_a_minute() -> None:
    now = [0.0]
    repeats = log.Repeats(lambda: now[0])
    record = logging.LogRecord("opentelemetry.exporter", logging.ERROR, "x.py", 7, "failed", None, None)
    assert [repeats.filter(record), repeats.filter(record)] == [True, False]
    now[0] = 60.0
    assert repeats.filter(record)


def test_configuring_again_replaces_the_first_configuration() -> None:
    first, second = written(), written()
    logging.getLogger("some.library").warning("once")
    structlog.get_logger().warning("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 2


def test_a_mirror_gets_the_line_after_secrets_were_taken_out() -> None:
    seen: list[dict[str, Any]] = []

    def take(line: Any) -> None:
        seen.append(dict(line))

    log.mirror(take)
    speak(token="S3CRET", port=1)
    log.unmirror(take)
    speak(port=2)
    assert [(line["token"], line["port"]) for line in seen] == [("***", 1)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (TRACEPARENT, TraceParent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, 1)),
        (
            "01" + TRACEPARENT[2:] + "-later",
            TraceParent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, 1),
        ),
        (TRACEPARENT + "-later", None),
        (TRACEPARENT.upper(), None),
        (TRACEPARENT[:-1], None),
        ("00-" + "0" * 32 + TRACEPARENT[35:], None),
        (TRACEPARENT[:36] + "0" * 16 + "-01", None),
        ("ff" + TRACEPARENT[2:], None),
    ],
)
def test_a_traceparent_is_read_by_the_rules_of_w3c(header: str, expected: TraceParent | None) -> None:
    assert parse(header) == expected
