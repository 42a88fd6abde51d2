"""Drift detectors that others wrote, on the tables of ``bench.quality``, each in its own environment.

They are shown 1,800 rows before the change and 1,200 after it, at their own defaults; what needs a chunk gets
600 rows, the delay that is aimed at. A peer that is not installed is named as skipped, and one that takes too
long is stopped: ``-`` stands for what it did not answer, or cannot (categories, in detectors of numbers).
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.streams.task import Task

PEERS = Path(".peers")
BEFORE, AFTER, CHUNK = 1_800, 1_200, 600
SECONDS_MAX, SECONDS_IN_ALL = 90, 330
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


CONTENDERS = (
    Contender("ADWIN", "river", "river", "ADWIN"),
    Contender("PageHinkley", "river", "river", "PageHinkley"),
    Contender("KSWIN", "river", "river", "KSWIN"),
    Contender("evidently", "evidently", "evidently", str(CHUNK)),
    Contender("nannyml", "nannyml", "nannyml", str(CHUNK)),
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
    until = time.monotonic() + SECONDS_IN_ALL
    cases = [(name, task, contender, until) for name, task in tables.items() for contender in contenders]
    found: dict[str, Answers] = {name: {} for name in tables}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (name, _, contender, _), cells in zip(cases, pool.map(_asked, cases), strict=True):
            found[name] |= {(contender.name, column): cell for column, cell in cells}
    return found


def _asked(case: tuple[str, Task, Contender, float]) -> list[tuple[str, str]]:
    name, task, contender, until = case
    command = [str(_python(contender)), "-m", f"bench.streams.{contender.peer}", contender.argument]
    seconds = min(SECONDS_MAX, until - time.monotonic())
    if seconds > 1:
        return list(_cells(_run(command, json.dumps(asdict(task)), seconds)))
    print(f"{contender.name} on {name}: left out after {SECONDS_IN_ALL} s in all")
    return []


def _cells(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("{"):
            told = json.loads(line)
            yield told["column"], f"{told['after'] or 'never'} ({told['before']})"


def _run(command: list[str], asked: str, seconds: float = SECONDS_MAX) -> list[str]:
    """The lines it printed, those until it was stopped included."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            out, error = running.communicate(asked, timeout=seconds)
        except subprocess.TimeoutExpired:
            running.kill()
            out, _ = running.communicate()
            print(f"{' '.join(command[1:])}: stopped after {seconds:.0f} s")
            return out.splitlines()
    if running.returncode:
        print(f"{' '.join(command[1:])}: failed: {error.strip().splitlines()[-1:]}")
    return out.splitlines()


def _python(contender: Contender) -> Path:
    return PEERS / contender.peer / "bin/python"
