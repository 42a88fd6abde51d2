"""Journals of both formats on a disk: written, rotated, torn, full, read back."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pilotfish.errors import ConfigurationError
from pilotfish.sinks import open_sinks, segment
from pilotfish.sinks.guard import Guard
from pilotfish.sinks.jsonl import JsonLines
from pilotfish.sinks.parquet import Parquet
from pilotfish.sinks.reader import read
from pilotfish.sinks.record import Record, Recorder
from pilotfish.sinks.segment import Segment
from pilotfish.sinks.shelf import Shelf
from pilotfish.sinks.sink import Sink
from pilotfish.testing.journal import ScriptedSink, kept_call

FORMATS = pytest.mark.parametrize("kind", [JsonLines, Parquet])
MIB = 1024**2

Kind = Callable[[Path, int, int], Sink]


def records(count: int, **changes: Any) -> list[Record]:
    recorder = Recorder(frozenset({"x-user-id"}), payloads=True)
    return [recorder.record(kept_call(call_id=f"call-{number}", **changes)) for number in range(count)]


def stored(directory: Path, kind: Kind) -> list[Record]:
    return list(read(directory, "jsonl" if kind is JsonLines else "parquet"))


def ids(found: list[Record]) -> list[str]:
    return [record["call_id"] for record in found]


# === files ===


@pytest.fixture(params=[JsonLines, Parquet])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param  # type: ignore[no-any-return]


def test_what_is_written_is_read_back_equal(tmp_path: Path, kind: Kind) -> None:
    sink = kind(tmp_path / "journal", MIB, 8)
    nasty = records(
        2, message="line\r\nbreak \u2028 \x00 é", metadata=(("x-user-id", "a\tb"), ("x-user-id", "c"))
    )
    bare = Recorder().record(kept_call(traceparent=None))
    sink.write([*nasty, bare])
    sink.close()
    assert stored(tmp_path / "journal", kind) == [*nasty, bare]


def test_a_journal_can_be_read_while_it_is_written(tmp_path: Path, kind: Kind) -> None:
    sink = kind(tmp_path, MIB, 8)
    sink.write(records(3))
    assert ids(stored(tmp_path, kind)) == ["call-0", "call-1", "call-2"]
    sink.close()


def test_a_torn_end_is_left_out(tmp_path: Path, kind: Kind) -> None:
    sink = kind(tmp_path, MIB, 8)
    sink.write(records(3))
    sink.write(records(2))
    [path] = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - 7)
    found = ids(stored(tmp_path, kind))
    assert found[:3] == ["call-0", "call-1", "call-2"]
    assert len(found) < 5


def test_files_rotate_by_size_and_the_oldest_goes_first(tmp_path: Path, kind: Kind) -> None:
    sink = kind(tmp_path, 6000, 3)
    for number in range(40):
        sink.write(records(1, message=f"{number:03d}" + "x" * 1500))
    sink.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    assert all(path.stat().st_size <= 6000 for path in files if kind is JsonLines)
    numbers = [int(record["message"][:3]) for record in stored(tmp_path, kind)]
    assert numbers == list(range(numbers[0], 40))
    assert numbers[0] > 20


def test_a_clock_that_was_put_back_does_not_make_the_newest_file_the_oldest(tmp_path: Path) -> None:
    then = datetime(2031, 5, 1, tzinfo=timezone.utc)

    def shelved(count: int, now: datetime) -> list[str]:
        shelf = Shelf(tmp_path, (".jsonl",), 4, lambda: now)
        made = []
        for _ in range(count):
            made.append(shelf.new(".jsonl"))
            made[-1].touch()
        return [path.name for path in made]

    names = [*shelved(3, then), *shelved(3, then - timedelta(days=1_000)), *shelved(2, then)]
    assert names == sorted(names)
    assert [path.name for path in Shelf(tmp_path, (".jsonl",), 4).files()] == names[-4:]


def test_a_record_larger_than_a_file_gets_a_file_of_its_own(tmp_path: Path, kind: Kind) -> None:
    sink = kind(tmp_path, 4096, 8)
    sink.write(records(1, request=os.urandom(9000)))
    sink.write(records(1, request=os.urandom(9000)))
    sink.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert len(stored(tmp_path, kind)) == 2


def test_another_process_s_open_file_is_not_removed(tmp_path: Path, kind: Kind) -> None:
    theirs, ours = kind(tmp_path, 4096, 1), kind(tmp_path, 4096, 1)
    theirs.write(records(1, message="theirs"))
    for _ in range(5):
        ours.write(records(1, message="ours", request=os.urandom(4000)))
    assert "theirs" in {record["message"] for record in stored(tmp_path, kind)}
    ours.close()
    theirs.close()


def test_nothing_is_left_of_a_sink_that_wrote_nothing(tmp_path: Path, kind: Kind) -> None:
    kind(tmp_path, MIB, 8).close()
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_directory_is_made_again(tmp_path: Path, kind: Kind) -> None:
    directory = tmp_path / "journal"
    sink = kind(directory, MIB, 8)
    sink.write(records(1))
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    sink.write(records(2))
    sink.close()
    assert len(stored(directory, kind)) == 2


def test_files_are_not_for_everyone_to_read(tmp_path: Path, kind: Kind) -> None:
    sink = kind(tmp_path / "journal", MIB, 8)
    sink.write(records(1))
    [written] = (tmp_path / "journal").iterdir()
    assert written.stat().st_mode & 0o007 == 0
    sink.close()
    [finished] = (tmp_path / "journal").iterdir()
    assert finished.stat().st_mode & 0o007 == 0


class Disk:
    """Stands between the sinks and `os.write`: takes a number of bytes, then refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.errno = errno.ENOSPC
        self._write = os.write
        monkeypatch.setattr(segment.os, "write", self.write)

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.room is None:
            return self._write(descriptor, data)
        if self.room <= 0:
            raise OSError(self.errno, os.strerror(self.errno))
        taken = self._write(descriptor, data[: self.room])
        self.room -= taken
        return taken


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_disk_that_fills_up_takes_a_batch_whole_or_not_at_all(
    tmp_path: Path, kind: Kind, disk: Disk
) -> None:
    sink = kind(tmp_path, MIB, 8)
    sink.write(records(2, message="before"))
    disk.room = 300
    with pytest.raises(OSError, match="No space left"):
        sink.write(records(5, message="lost"))
    disk.room = None
    sink.write(records(2, message="after"))
    sink.close()
    assert [record["message"] for record in stored(tmp_path, kind)] == ["before", "before", "after", "after"]


def test_a_full_disk_does_not_cost_the_files_there_are(tmp_path: Path, kind: Kind, disk: Disk) -> None:
    sink = kind(tmp_path, 4096, 3)
    for _ in range(3):
        sink.write(records(1, message="good", request=os.urandom(4000)))
    before = ids(stored(tmp_path, kind))
    disk.room = 0
    for _ in range(10):
        with pytest.raises(OSError, match="No space left"):
            sink.write(records(1, request=os.urandom(4000)))
    assert len(stored(tmp_path, kind)) >= len(before) - 1  # one made room for the file that could not begin
    disk.room = None
    sink.write(records(1, message="after"))
    sink.close()
    assert stored(tmp_path, kind)[-1]["message"] == "after"


def test_a_segment_whose_torn_end_stays_is_given_up(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    file = Segment(tmp_path / "calls-1.jsonl")
    file.append(b"whole\n")
    monkeypatch.setattr(segment.os, "ftruncate", refuse)
    disk.room = 3
    with pytest.raises(OSError, match="No space left"):
        file.append(b"torn\n")
    assert not file.usable
    file.close()
    assert file.path.read_bytes() == b"whole\ntor"


LIMITED = """
import resource, signal, sys
from pathlib import Path
from pilotfish.sinks import open_sinks
from pilotfish.sinks.guard import Guard
from pilotfish.sinks.reader import read
from pilotfish.sinks.record import Recorder
from pilotfish.testing.journal import kept_call

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
directory, kind = Path(sys.argv[1]), sys.argv[2]
now = [0.0]
[sink] = open_sinks(directory, [kind], rotate_bytes=10**9, keep_files=8)
guard, recorder = Guard(sink, lambda: now[0]), Recorder(payloads=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
outcomes = [guard.write([recorder.record(kept_call())]) for _ in range(100)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
now[0] = 60.0
outcomes += [guard.write([recorder.record(kept_call())]) for _ in range(5)]
guard.close()
print(outcomes.count(None), len(list(read(directory))), sorted({o for o in outcomes if o}), outcomes[-1])
"""


@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_a_limit_of_the_real_file_system_loses_nothing_that_counts_as_written(
    tmp_path: Path, name: str
) -> None:
    """The kernel writes a part and then says EFBIG, as a full disk does with ENOSPC."""
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), name], capture_output=True, text=True, check=True
    )
    written, found, reasons, last = run.stdout.splitlines()[-1].split(" ", 3)
    assert int(written) == int(found) > 5
    assert (reasons, last) == ("['disk_full']", "None")


# === Parquet ===


def test_a_parquet_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    sink = Parquet(tmp_path, MIB, 8)
    sink.write(records(3))
    assert {path.suffix for path in tmp_path.iterdir()} == {".arrows"}
    sink.close()
    [path] = tmp_path.iterdir()
    assert path.suffix == ".parquet"
    table = pq.read_table(path)
    assert table.num_rows == 3
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    assert table.column("request")[0].as_py()["payload"] == kept_call().request


def test_a_parquet_file_is_made_of_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotfish.sinks.parquet._ROW_GROUP_ROWS", 10)
    sink = Parquet(tmp_path, MIB, 8)
    for _ in range(7):
        sink.write(records(5))
    sink.close()
    [path] = tmp_path.iterdir()
    assert pq.ParquetFile(path).metadata.num_row_groups == 4
    assert len(stored(tmp_path, Parquet)) == 35


@pytest.fixture
def left_behind(tmp_path: Path) -> Iterator[Path]:
    """A directory as a process leaves it that was killed while it wrote."""
    program = (
        "import os, sys; from pathlib import Path; from pilotfish.sinks.parquet import Parquet;"
        "from pilotfish.sinks.record import Recorder; from pilotfish.testing.journal import kept_call;"
        "Parquet(Path(sys.argv[1]), 10**6, 8).write([Recorder().record(kept_call(message='left behind'))]);"
        "os._exit(9)"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert run.returncode == 9
    return tmp_path


def test_a_stream_left_behind_is_finished_by_the_next_process(left_behind: Path) -> None:
    assert [path.suffix for path in left_behind.iterdir()] == [".arrows"]
    sink = Parquet(left_behind, MIB, 8)
    sink.write(records(1))
    assert sorted(path.suffix for path in left_behind.iterdir()) == [".arrows", ".parquet"]
    sink.close()
    assert sorted(record["message"] for record in stored(left_behind, Parquet)) == ["", "left behind"]


def test_a_parquet_file_that_cannot_be_finished_stays_readable_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Parquet(tmp_path, 4096, 8)
    with monkeypatch.context() as patch:
        patch.setattr("pilotfish.sinks.parquet._force", _no_space)
        for _ in range(3):
            sink.write(records(1, request=os.urandom(4000)))
        with pytest.raises(OSError, match="No space left"):
            sink.close()
        assert {path.suffix for path in tmp_path.iterdir()} == {".arrows"}
        assert len(stored(tmp_path, Parquet)) == 3
    Parquet(tmp_path, 4096, 8).close()
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet"}
    assert len(stored(tmp_path, Parquet)) == 3


def _no_space(path: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_both_formats_hold_the_same_records_and_each_is_read_once(tmp_path: Path) -> None:
    written = records(4)
    for sink in open_sinks(tmp_path, ["jsonl", "parquet"], rotate_bytes=MIB, keep_files=4):
        sink.write(written)
        sink.close()
    assert list(read(tmp_path)) == list(read(tmp_path, "parquet")) == written


def test_without_pyarrow_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pilotfish.sinks.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'pilotfish\[parquet\]'"):
        open_sinks(tmp_path, ["parquet"], rotate_bytes=MIB, keep_files=4)


def test_an_empty_or_missing_directory_has_no_records(tmp_path: Path) -> None:
    assert list(read(tmp_path)) == list(read(tmp_path / "missing")) == []


# === guard ===


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def failing(error: Exception | None) -> Callable[[], None]:
    def before() -> None:
        if error is not None:
            raise error

    return before


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "full"), "disk_full"),
        (OSError(errno.EDQUOT, "quota"), "disk_full"),
        (OSError(errno.EIO, "broken"), "disk_error"),
        (PermissionError(errno.EACCES, "no"), "disk_error"),
        (ValueError("a bug"), "sink_failed"),
    ],
)
def test_every_failure_has_a_reason(error: Exception, reason: str) -> None:
    guard = Guard(ScriptedSink(before=failing(error)), Clock())
    assert guard.write(records(3)) == reason
    assert guard.status().dropped == {reason: 3}
    assert guard.status().error == str(error)


def test_a_failing_sink_is_left_alone_for_longer_and_longer_then_recovers() -> None:
    clock, sink = Clock(), ScriptedSink(before=failing(OSError(errno.EIO, "broken")))
    guard = Guard(sink, clock)
    tried = []
    for second in range(100):
        clock.now = float(second)
        before = sink.writes
        guard.write(records(1))
        if sink.writes > before:
            tried.append(second)
    assert tried == [0, 1, 3, 7, 15, 31, 61, 91]
    sink.before = failing(None)
    clock.now = 121.0
    assert guard.write(records(1)) is None
    assert guard.status().error is None
    assert guard.status().written == 1
    assert guard.status().dropped == {"disk_error": 100}
