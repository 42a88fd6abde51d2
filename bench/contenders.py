"""Drift detectors that others wrote, on the tables of ``bench.quality``, each in its own environment.

They are shown 1,800 rows before the change and 1,200 after it, at their own defaults; what needs a chunk gets
600 rows, the delay that is aimed at. A peer that is not installed is named as skipped, and one that takes too
much processor time is stopped (which others that use the machine do not change): ``-`` stands for what it did
not answer, ``no`` for what it cannot: categories, in detectors of numbers.
"""

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.streams import task
from bench.streams.task import Task

PEERS = Path(".peers")
BEFORE, AFTER, CHUNK = 1_800, 1_200, 600
SECONDS_MAX = 900
"""Of the clock; of the processor, ``streams.task.SECONDS_MAX``."""
AT_ONCE = 2

Answers = dict[tuple[str, str], str]
"""By contender and column: rows after the change, and false alarms before it."""


@dataclass(frozen=True)
class Contender:
    """A detector, the environment and the package it is in, and what its program is told."""

    name: str
    peer: str
    package: str
    argument: str = ""
    takes_categories: bool = False


CONTENDERS = (
    Contender("ADWIN", "river", "river", "ADWIN"),
    Contender("PageHinkley", "river", "river", "PageHinkley"),
    Contender("KSWIN", "river", "river", "KSWIN"),
    Contender("evidently", "evidently", "evidently", str(CHUNK), True),
    Contender("nannyml", "nannyml", "nannyml", str(CHUNK), True),
    Contender("CVM online", "alibi_detect", "alibi-detect"),
)


def installed() -> list[Contender]:
    """Those that can be run; says which cannot, and how to get them."""
    found = []
    for contender in CONTENDERS:
        if _python(contender).exists():
            found.append(contender)
        else:
            print(f"{contender.name}: skipped: no .peers/{contender.peer}: run make bench-tools test-peers")
    return found


def versions(contenders: list[Contender]) -> str:
    """The packages that are compared with, and which version of each."""
    packages = {contender.package: contender for contender in contenders}
    asked = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    told = [
        f"{package} {_run([str(_python(contender)), '-c', asked, package], '')[0]}"
        for package, contender in packages.items()
    ]
    return ", ".join(told)


def answers(contenders: list[Contender], tables: Mapping[str, Task]) -> Mapping[str, Answers]:
    """What each of them finds in each table."""
    cases = [(name, asked, contender) for name, asked in tables.items() for contender in contenders]
    found: dict[str, Answers] = {name: {} for name in tables}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (name, asked, contender), cells in zip(cases, pool.map(_answered, cases), strict=True):
            told = dict(cells)
            for column in asked.columns:
                able = contender.takes_categories or column in asked.numeric
                found[name][contender.name, column] = told.get(column, "-") if able else "no"
    return found


def _answered(case: tuple[str, Task, Contender]) -> list[tuple[str, str]]:
    _, asked, contender = case
    command = [str(_python(contender)), "-m", f"bench.streams.{contender.peer}", contender.argument]
    return list(_cells(_run(command, json.dumps(asdict(asked)))))


def _cells(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("{"):
            told = json.loads(line)
            yield told["column"], f"{told['after'] or 'never'} ({told['before']})"


def _run(command: list[str], asked: str) -> list[str]:
    """The lines it printed, those until it was stopped included."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            out, error = running.communicate(asked, timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            running.kill()
            out, _ = running.communicate()
            print(f"{' '.join(command[1:])}: stopped after {SECONDS_MAX} s")
            return out.splitlines()
    if running.returncode == -signal.SIGXCPU:
        print(f"{' '.join(command[1:])}: stopped after {task.SECONDS_MAX} s of the processor")
    elif running.returncode:
        print(f"{' '.join(command[1:])}: failed: {error.strip().splitlines()[-1:]}")
    return out.splitlines()


def _python(contender: Contender) -> Path:
    return PEERS / contender.peer / "bin/python"
