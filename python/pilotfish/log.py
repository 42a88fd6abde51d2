"""The log of pilotfish itself: one line per event on standard error, as JSON or as plain text.

Two promises hold for every line, whoever wrote it: nothing a client sent can move the cursor or fake a line,
and values that are known to be secret do not appear. Lines that name a ``traceparent`` carry the trace and
span id.
"""

import logging
import math
import re
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal, TextIO, TypeAlias

import structlog

from pilotfish.settings.secret import MASK, is_secret
from pilotfish.traceparent import parse

Line: TypeAlias = MutableMapping[str, Any]
Mirror: TypeAlias = Callable[[Mapping[str, Any]], None]

_CREDENTIALS = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_REPEAT_SECONDS = 60.0
_NESTING = 8
_mirrors: list[Mirror] = []


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    format: Literal["json", "console"] = "json",  # noqa: A002 - the name of the setting
    stream: TextIO | None = None,
) -> None:
    """Set the log up, also for the libraries that use :mod:`logging`. May be called again."""
    out = stream if stream is not None else sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        add_trace,
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer = _renderers(format)
    structlog.configure(
        processors=[*shared, _to_mirrors, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *names: NamedLogger(out, *names),
        cache_logger_on_first_use=False,
    )
    _configure_libraries(
        level, out, [*shared, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer]
    )


def mirror(to: Mirror) -> None:
    """Hand every line of pilotfish's own to ``to`` as well, before it is rendered.

    Must not block or raise.
    """
    _mirrors.append(to)


def unmirror(to: Mirror) -> None:
    """Undo :func:`mirror`."""
    if to in _mirrors:
        _mirrors.remove(to)


class NamedLogger(structlog.WriteLogger):
    """A logger that remembers the name it was asked for."""

    def __init__(self, stream: TextIO, name: str = "pilotfish") -> None:
        super().__init__(stream)
        self.name = name


# === processors ===


def add_name(logger: object, _method: str, line: Line) -> Line:
    """Add ``logger``, the name of the part that speaks."""
    if isinstance(logger, NamedLogger):
        line["logger"] = logger.name
    return line


def add_trace(_logger: object, _method: str, line: Line) -> Line:
    """Replace ``traceparent`` by ``trace_id`` and ``span_id``; one that is not valid is dropped."""
    trace = parse(line.pop("traceparent", None))
    if trace is not None:
        line["trace_id"] = f"{trace.trace_id:032x}"
        line["span_id"] = f"{trace.span_id:016x}"
    return line


def redact(_logger: object, _method: str, line: Line) -> Line:
    """Mask what is secret by its name, and credentials inside texts."""
    for name, value in line.items():
        line[name] = _redacted(value, name, _NESTING)
    return line


def escape(_logger: object, _method: str, line: Line) -> Line:
    """Make control characters visible. A traceback keeps its line breaks."""
    return {
        escaped(name): escaped(value, keep="\n\t" if name == "exception" else "")
        if isinstance(value, str)
        else value
        for name, value in line.items()
    }


def escaped(text: str, keep: str = "") -> str:
    r"""``text`` with control, direction and line-separating characters written as ``\xNN`` or ``\uNNNN``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or not _is_control(c) else _code(c) for c in text)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _code(character: str) -> str:
    number = ord(character)
    return (
        f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"
    )


def _redacted(value: Any, name: str, depth: int) -> Any:
    if is_secret(name):
        return MASK
    if isinstance(value, str):
        return _USER_INFO.sub(MASK, _CREDENTIALS.sub(rf"\1 {MASK}", value))
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # JSON has no such numbers
    if depth and isinstance(value, Mapping):
        return {key: _redacted(held, str(key), depth - 1) for key, held in value.items()}
    if depth and isinstance(value, (list, tuple)):
        # Metadata is a sequence of pairs, the name beside its value.
        return [_pair(item, depth) for item in value]
    return value


def _pair(item: Any, depth: int) -> Any:
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        return [item[0], _redacted(item[1], item[0], depth - 1)]
    return _redacted(item, "", depth - 1)


def _to_mirrors(_logger: object, _method: str, line: Line) -> Line:
    for to in tuple(_mirrors):
        to(line)
    return line


def _renderers(form: Literal["json", "console"]) -> list[structlog.typing.Processor]:
    if form == "json":
        # json.dumps escapes control characters, and with ensure_ascii also those that change the direction
        # of text.
        return [_in_order, structlog.processors.JSONRenderer(ensure_ascii=True, default=repr)]
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    return [_texts, escape, console]


def _in_order(_logger: object, _method: str, line: Line) -> Line:
    first = {name: line[name] for name in ("timestamp", "level", "logger", "event") if name in line}
    return {**first, **line}


def _texts(_logger: object, _method: str, line: Line) -> Line:
    return {
        name: value if isinstance(value, (int, float, str)) or value is None else repr(value)
        for name, value in line.items()
    }


# === libraries ===


class Repeats(logging.Filter):
    """Lets a message of a library through once a minute: exporters without a receiver repeat themselves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[tuple[str, int, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        key = (record.name, record.lineno, record.msg)
        now = self._clock()
        with self._lock:
            if now - self._last.get(key, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
                return False
            if len(self._last) >= 1024:  # messages with changing texts must not fill the memory
                self._last.clear()
            self._last[key] = now
        return True


def _configure_libraries(level: str, out: TextIO, processors: list[structlog.typing.Processor]) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=processors,
        )
    )
    handler.addFilter(Repeats())
    handler.name = "pilotfish"
    root = logging.getLogger()
    root.handlers = [present for present in root.handlers if present.name != "pilotfish"] + [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING) if level != "debug" else logging.DEBUG)
    logging.captureWarnings(True)
