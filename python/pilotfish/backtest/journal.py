"""A journal through the live code: its messages, in the order in which they were kept.

Only messages that were written whole can be read; the others are counted.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pilotfish import _core
from pilotfish.errors import TableError
from pilotfish.sinks import reader
from pilotfish.sinks.record import Message, Record


@dataclass
class Account:
    """What became of the messages of a journal."""

    observed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """Why messages could not be read, and how many."""


def feed(backtest: _core.Backtest, directory: Path, version: str | None, account: Account) -> Iterator[None]:
    """Hand over one call after the other; stops after each. Raises TableError."""
    only = version
    for record in _records(directory):
        only = only or record["version"]
        if record["version"] == only:
            _observe(backtest, record, account)
            yield
        elif version is not None:
            account.skipped["other_version"] += 1
        else:
            raise TableError(
                f"{directory}: holds calls of the versions {only!r} and {record['version']!r}; "
                "choose one with --model-version"
            )
    if not account.observed:
        reasons = ", ".join(f"{why} {count}" for why, count in account.skipped.items()) or "it is empty"
        raise TableError(
            f"{directory}: holds no message that can be read ({reasons}); check the path, and that "
            "journal.payloads was true"
        )


def _records(directory: Path) -> Iterator[Record]:
    try:
        yield from reader.read(directory)
    except OSError as exc:
        raise TableError(f"{directory}: cannot be read: {exc.strerror}; check its permissions") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise TableError(f"{directory}: is not a journal that can be read: {exc}; check the path") from exc


def _observe(backtest: _core.Backtest, record: Record, account: Account) -> None:
    sides: list[tuple[Literal["input", "output"], Message]] = [
        ("input", record["request"]),
        ("output", record["response"]),
    ]
    for direction, message in sides:
        payload = message["payload"]
        if payload is None and not message["size"]:
            continue  # there was none: a call that failed has no answer
        if payload is None or message["truncated"]:
            account.skipped["no_payload" if payload is None else "truncated"] += 1
            continue
        try:
            backtest.add_message(record["method"], direction, payload)
            account.observed += 1
        except ValueError as exc:
            account.skipped[str(exc)] += 1
