"""Parquet: columns for notebooks and warehouses, messages as binary.

A Parquet file can be read only once its end is written, so calls are first appended to an Arrow stream
(``.arrows``), which can be read at any time and survives the death of the process. A full stream becomes a
Parquet file in row groups under a temporary name, is forced to the disk, and takes its name in one step.
Streams a process left behind are finished by the next one. Importing this module needs pyarrow.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from pilotfish.sinks.record import Record
from pilotfish.sinks.segment import Segment, claim
from pilotfish.sinks.shelf import Shelf, listed

SUFFIX = ".parquet"
STREAM = ".arrows"
_ROW_GROUP_ROWS = 8192
_ROW_GROUP_BYTES = 16 * 1024**2

_MESSAGE = pa.struct(
    [("size", pa.int64()), ("sha256", pa.string()), ("payload", pa.binary()), ("truncated", pa.bool_())]
)
SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("call_id", pa.string()),
        ("trace_id", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("route", pa.string()),
        ("version", pa.string()),
        ("role", pa.string()),
        ("strategy", pa.string()),
        ("method", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("duration_seconds", pa.float64()),
        ("upstream_seconds", pa.float64()),
        ("reason", pa.string()),
        ("metadata", pa.map_(pa.string(), pa.list_(pa.string()))),
        ("request", _MESSAGE),
        ("response", _MESSAGE),
    ]
)

_log = structlog.get_logger("pilotfish.sinks")


class Parquet:
    """A sink of files that end in ``.parquet``."""

    name = "parquet"

    def __init__(self, directory: Path, rotate_bytes: int, keep_files: int) -> None:
        self._shelf = Shelf(directory, (SUFFIX, STREAM), keep_files)
        self._rotate_bytes = rotate_bytes
        self._segment: Segment | None = None

    def write(self, records: Sequence[Record]) -> None:
        """Append the records to the open stream. Raises OSError."""
        data: bytes = (
            pa.RecordBatch.from_pylist([_row(record) for record in records], schema=SCHEMA)
            .serialize()
            .to_pybytes()
        )
        self._ready(len(data)).append(data)

    def close(self) -> None:
        """Turn every stream into a Parquet file.

        Raises OSError; what could not be turned stays readable as a stream.
        """
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()
        for stream in sorted(listed(self._shelf.directory, (STREAM,))):
            finish(stream)

    def _ready(self, coming: int) -> Segment:
        segment = self._segment
        full = (
            segment is not None
            and segment.size > segment.start
            and segment.size + coming > self._rotate_bytes
        )
        if segment is None or full or not segment.usable:
            try:
                self.close()
            except (
                OSError
            ) as exc:  # a full disk, most likely: the streams hold everything, later rotations try again
                _log.warning("journal.parquet_unfinished", error=str(exc))
            self._segment = segment = Segment(self._shelf.new(STREAM), start=SCHEMA.serialize().to_pybytes())
        return segment


def finish(stream: Path) -> None:
    """Make the Parquet file of a stream that nobody writes any more, then remove the stream.

    Raises OSError.
    """
    with claim(stream) as ours:
        if ours:
            _convert(stream)


def read(path: Path) -> Iterator[Record]:
    """Records of one file, finished or not; a torn end is left out."""
    if path.suffix == SUFFIX:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from map(_record, batch.to_pylist())
    elif not path.with_suffix(SUFFIX).exists():
        for batch in _batches(path):
            yield from map(_record, batch.to_pylist())


def _convert(stream: Path) -> None:
    partial = stream.with_suffix(SUFFIX + ".partial")
    try:
        rows = _write_row_groups(stream, partial)
        if rows:
            _force(partial)
            partial.replace(stream.with_suffix(SUFFIX))
            _force(stream.parent)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    stream.unlink(missing_ok=True)


def _write_row_groups(stream: Path, partial: Path) -> int:
    rows = 0
    partial.touch(mode=0o640)  # as the stream: Arrow would make it for everyone to read
    with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
        for table in _grouped(_batches(stream)):
            writer.write_table(table, row_group_size=table.num_rows)
            rows += table.num_rows
    return rows


def _grouped(batches: Iterator[Any]) -> Iterator[Any]:
    """Tables large enough to make a row group each; bounded, so that a large stream needs little memory."""
    group: list[Any] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            yield pa.Table.from_batches(group)
            group, rows, size = [], 0, 0
    if group:
        yield pa.Table.from_batches(group)


def _batches(stream: Path) -> Iterator[Any]:
    try:
        with pa.OSFile(str(stream), "rb") as file, pa.ipc.open_stream(file) as reader:
            yield from reader
    except (pa.ArrowInvalid, OSError) as exc:  # Arrow reports an end in the middle of a batch as either
        if getattr(exc, "errno", None) in (errno.EIO, errno.EACCES, errno.EMFILE, errno.ENFILE):
            raise


def _force(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _row(record: Record) -> dict[str, Any]:
    time = datetime.fromisoformat(record["time"].replace("Z", "+00:00"))
    return {**record, "time": time, "metadata": list(record["metadata"].items())}


def _record(row: dict[str, Any]) -> Record:
    record: Any = {
        **row,
        "time": row["time"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "metadata": dict(row["metadata"]),
    }
    return record  # type: ignore[no-any-return]
