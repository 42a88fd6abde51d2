"""Comma-separated values as a table."""

import csv
import gzip
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pilotfish.errors import TableError
from pilotfish.table.columns import CHUNK_ROWS, Choice, Chunk, Kind, Numbers, Texts, named

_MISSING = frozenset({"", "nan", "-nan", "null", "none", "na", "n/a", "<na>", "#n/a", "#na", "nat", "?"})
"""As pandas, R, spreadsheets, databases and (``?``) ARFF and the UCI repository write it; of any case."""
_TRUTH = {"true": 1.0, "false": 0.0}
_DECORATION = re.compile(r"[\s,'%$€£¥]")
"""What people write into numbers, and programs do not read."""
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(e[+-]?[0-9]+)?")
"""Numbers where the comma is the decimal sign: the reason why fields are separated by ``;`` there."""


@dataclass(frozen=True)
class Separated:
    """Comma-separated values with a header line; RFC 4180, and ``;`` or tab where the header has no comma.

    A file whose name ends in ``.gz`` is unpacked while it is read.
    """

    path: Path
    delimiter: str
    header: Sequence[str]
    kinds: Mapping[str, Kind]
    notes: Sequence[str] = ()

    @classmethod
    def open(cls, path: Path, choice: Choice) -> "Separated":
        """The columns that are wanted. Raises TableError."""
        delimiter, header = cls._head(path)
        wanted, notes = named(path, header, choice)
        draft = cls(path, delimiter, header, dict.fromkeys(wanted, "texts"))
        doubts = draft._doubts({name for name in wanted if name not in choice.texts})
        mostly = draft._mostly_numbers(doubts.keys() & choice.numbers)
        kinds: dict[str, Kind] = {
            name: "texts" if name in choice.texts or name in doubts.keys() - mostly.keys() else "numbers"
            for name in wanted
        }
        notes += [f"the column {name!r} {doubt}" for name, doubt in (doubts | mostly).items() if doubt]
        return cls(path, delimiter, header, kinds, notes)

    @classmethod
    def names(cls, path: Path) -> list[str]:
        """The names of the columns."""
        return cls._head(path)[1]

    def chunks(self) -> Iterator[Chunk]:
        """The rows from first to last, some at a time. Raises TableError."""
        places = {name: self.header.index(name) for name in self.kinds}
        for rows in self._rows():
            yield {
                name: self._numbers(rows, places[name]) if kind == "numbers" else _texts(rows, places[name])
                for name, kind in self.kinds.items()
            }

    @staticmethod
    def _head(path: Path) -> tuple[str, list[str]]:
        """What separates fields, and the names of the columns."""
        with _reporting(path), _text_of(path) as file:
            first = next((line for line in file if line.strip("\r\n")), "")
            delimiter = "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else _delimiter(first)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            with _reporting_place(path, reader):
                header = [name.strip() for name in _names_in(reader)]
        if not any(header):
            raise TableError(f"{path}: is empty; write a header line with the names of the columns")
        if first.lower().startswith("sep="):
            raise TableError(f"{path}:1: {first.strip()!r} is a note for spreadsheets; take the line out")
        if all(_number(name) is not None for name in header) and not _is_counted(header):
            raise TableError(
                f"{path}:1: looks like data; write a header line with the names of the columns above it"
            )
        return delimiter, header

    def is_number(self, text: str) -> bool:
        """Whether a field holds a number, or says that it is missing."""
        return self._number(text) is not None

    def _number(self, text: str) -> float | None:
        """The number in a field, NaN for a missing one, None for anything else."""
        found = _number(text)
        if found is None and self.delimiter == ";" and _DECIMAL_COMMA.fullmatch(text.strip().lower()):
            return float(text.replace(",", "."))
        return found

    def _doubts(self, unknown: set[str]) -> dict[str, str]:
        """One pass over the file: columns in which a row has no number, and what is to be said of that."""
        open_columns = {name: self.header.index(name) for name in unknown}
        doubts: dict[str, str] = {}
        seen = 0
        for rows in self._rows():
            for name, place in list(open_columns.items()):
                if not all(self.is_number(row[place]) for row in rows):
                    doubts[name] = self._doubt([row[place] for row in rows], seen)
                    del open_columns[name]
            seen += len(rows)
        return {name: doubts[name] for name in self.header if name in doubts}

    def _doubt(self, values: Sequence[str], before: int) -> str:
        """What is to be said of values that are texts: nothing, unless most of them look like numbers."""
        texts = [(row, text) for row, text in enumerate(values, before + 1) if not self.is_number(text)]
        row, text = texts[0]
        found = f"is texts, because of {_shortened(text)!r} in row {row}"
        present = sum(text.strip().lower() not in _MISSING for text in values)
        if before or 2 * len(texts) < present:
            return f"{found}: the rows around it have numbers; correct it, or leave the field empty"
        bare = sum(self.is_number(_DECORATION.sub("", text)) for _, text in texts)
        if 2 * bare > len(texts):
            return f"{found}: write numbers in digits with a point, such as 1234.5"
        return ""

    def _mostly_numbers(self, names: AbstractSet[str]) -> dict[str, str]:
        """What is said of those with more numbers than texts. One more pass, if there are any ``names``."""
        texts = {name: _Texts(self.is_number) for name in self.header if name in names}
        for rows in self._rows() if texts else ():
            for name, found in texts.items():
                place = self.header.index(name)
                for row in rows:
                    found.add(row[place])
        return {name: found.says() for name, found in texts.items() if 2 * found.count <= found.present}

    def _rows(self) -> Iterator[list[list[str]]]:
        with _reporting(self.path), _text_of(self.path) as file:
            reader = csv.reader(file, delimiter=self.delimiter, strict=True)
            with _reporting_place(self.path, reader):
                _names_in(reader)
                whole = self._whole(reader)
                while rows := list(islice(whole, CHUNK_ROWS)):
                    yield rows

    def _numbers(self, rows: list[list[str]], place: int) -> Numbers:
        values = (self._number(row[place]) for row in rows)
        return np.fromiter((math.nan if value is None else value for value in values), np.float64, len(rows))

    def _whole(self, reader: Any) -> Iterator[list[str]]:
        width = len(self.header)
        for row in reader:
            if len(row) == width:
                yield row
            elif row:  # the csv module gives [] for an empty line
                raise TableError(
                    f"{self.path}:{reader.line_num}: the row has {len(row)} fields, the header {width}; "
                    "complete or remove it"
                )


@dataclass
class _Texts:
    """The fields of a column that hold no number."""

    is_number: Callable[[str], bool]
    rows: int = 0
    present: int = 0
    count: int = 0
    first: tuple[int, str] = (0, "")

    def add(self, text: str) -> None:
        self.rows += 1
        self.present += text.strip().lower() not in _MISSING
        if not self.is_number(text):
            self.count += 1
            if self.count == 1:
                self.first = self.rows, text

    def says(self) -> str:
        row, text = self.first
        fields = "a text" if self.count == 1 else f"{self.count:,} texts"
        return (
            f"has numbers, and {fields} that count as missing: {_shortened(text)!r} in row {row} is the first"
        )


def _text_of(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8-sig")
    return path.open(newline="", encoding="utf-8-sig")


def _names_in(reader: Iterator[list[str]]) -> list[str]:
    """The fields of the first line that is not empty: the csv module gives [] for one that is."""
    return next(filter(None, reader), [])


def _is_counted(header: Sequence[str]) -> bool:
    """Whether columns are called 0, 1, 2, ..., as pandas calls those of an array; its index has no name."""
    names = list(header[1:] if not header[0] else header)
    return len(names) > 2 and names == [str(number) for number in range(len(names))]


def _delimiter(header: str) -> str:
    plain = re.sub(r'"[^"]*"', "", header)
    return next((mark for mark in (",", ";", "\t", "|") if mark in plain), ",")


def _number(text: str) -> float | None:
    """The number in a field, NaN for a missing one, None for anything else."""
    plain = text.strip().lower()
    if plain in _MISSING:
        return math.nan
    if plain in _TRUTH:
        return _TRUTH[plain]
    if "_" in plain:  # Python reads 1_000 as a number, no other program does
        return None
    try:
        return float(plain)
    except ValueError:
        return None


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."


def _texts(rows: list[list[str]], place: int) -> Texts:
    return [row[place] or None for row in rows]


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as exc:
        raise TableError(
            f"{path}: is not UTF-8 text (byte 0x{exc.object[exc.start]:02x}); convert it, as with "
            "iconv -f windows-1252 -t utf-8, or check that it is CSV"
        ) from exc
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise TableError(f"{path}: is not a gzip file that can be read: {exc}; check the file") from exc
    except OSError as exc:
        raise TableError(
            f"{path}: cannot be read: {exc.strerror}; check the path and its permissions"
        ) from exc


@contextmanager
def _reporting_place(path: Path, reader: Any) -> Iterator[None]:
    try:
        yield
    except csv.Error as exc:
        if "field larger" in str(exc):
            limit = csv.field_size_limit()
            raise TableError(
                f"{path}:{reader.line_num}: a field is longer than {limit:,} characters; "
                "check the quotes there, or use .parquet"
            ) from exc
        raise TableError(f"{path}:{reader.line_num}: is not CSV: {exc}; check the quotes there") from exc
