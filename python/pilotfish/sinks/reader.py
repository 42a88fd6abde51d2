"""Reads a journal back, whatever format it was written in: for tests, backtests and notebooks.

A journal may be read while it is being written: a last line or batch that is not whole yet is left out.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pilotfish.errors import ConfigurationError
from pilotfish.sinks import jsonl
from pilotfish.sinks.record import Message, Record
from pilotfish.sinks.shelf import listed


def read(directory: Path | str, format: Literal["jsonl", "parquet"] | None = None) -> Iterator[Record]:  # noqa: A002 - the word of the setting
    """Records of a journal, oldest file first; both formats give equal records.

    A journal kept in both formats holds every call twice; without ``format`` its JSON Lines are read. Raises
    ConfigurationError when Parquet files are to be read without pyarrow, and OSError.
    """
    directory = Path(directory)
    lines = sorted(listed(directory, (jsonl.SUFFIX,)))
    if format == "jsonl" or (format is None and lines):
        for path in lines:
            yield from _lines(path)
    else:
        yield from _columns(directory)


def _lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _record(json.loads(line))


def _columns(directory: Path) -> Iterator[Record]:
    files = sorted(listed(directory, (".parquet", ".arrows")))
    if not files:
        return
    try:
        from pilotfish.sinks import parquet
    except ImportError as exc:
        raise ConfigurationError(
            f"{directory}: a journal in Parquet needs pyarrow, which is not installed; "
            "run: pip install 'pilotfish[parquet]'"
        ) from exc
    for path in files:
        yield from parquet.read(path)


def _record(plain: dict[str, Any]) -> Record:
    record: Any = {**plain, "request": _message(plain["request"]), "response": _message(plain["response"])}
    return record  # type: ignore[no-any-return]


def _message(plain: dict[str, Any]) -> Message:
    payload = plain["payload"]
    message: Any = {**plain, "payload": None if payload is None else base64.b64decode(payload)}
    return message  # type: ignore[no-any-return]
