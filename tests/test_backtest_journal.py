"""Backtests of a journal: its messages as they were, through the live code."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pilotfish import _core, backtest
from pilotfish.errors import TableError
from pilotfish.sinks.jsonl import JsonLines
from pilotfish.sinks.record import Recorder
from pilotfish.testing.journal import kept_call
from pilotfish.testing.model import MODEL_INFER, infer_request, infer_response


def journal(folder: Path, payloads: bool = True, versions: Sequence[str] = ("v1",)) -> Path:
    random = np.random.default_rng(4)
    recorder, sink = Recorder(payloads=payloads), JsonLines(folder, 1024**3, 8)
    for call in range(600):
        level = 0.0 if call < 400 else 2.0
        request = infer_request("m", {"x": random.normal(level, 1, (10, 2))})
        response = infer_response("m", {"y": random.normal(0, 1, 10)})
        kept = kept_call(
            method=MODEL_INFER, request=request, response=response, version=versions[call % len(versions)]
        )
        sink.write([recorder.record(kept)])
    sink.close()
    return folder


def reference() -> bytes:
    random = np.random.default_rng(9)
    builder = _core.ProfileBuilder("m")
    for name, direction in (("x[0]", "input"), ("x[1]", "input"), ("y", "output")):
        builder.add_numbers(name, direction, random.normal(0, 1, 10_000))  # type: ignore[arg-type]
    return builder.finish()


@pytest.mark.parametrize("detector", [backtest.DEFAULT, "adwin"])
def test_a_journal_is_read_as_its_messages_were(tmp_path: Path, detector: str) -> None:
    run = backtest.run(reference(), journal(tmp_path / "calls"), backtest.Plan(detector))
    found = list(run)
    assert {alarm.feature for alarm in found} == {"x[0]", "x[1]"}
    assert all(4000 < alarm.row <= 5500 for alarm in found)
    assert (run.rows, run.account.observed) == (6000, 1200)


def test_a_journal_without_messages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        TableError, match=r"no message that can be read \(no_payload 1200\).*journal.payloads"
    ):
        list(backtest.run(reference(), journal(tmp_path / "calls", payloads=False)))
    (tmp_path / "none").mkdir()
    with pytest.raises(TableError, match="it is empty"):
        list(backtest.run(reference(), tmp_path / "none"))


def test_an_answer_that_a_failed_call_never_had_was_not_skipped(tmp_path: Path) -> None:
    recorder, sink = Recorder(payloads=True), JsonLines(tmp_path / "calls", 1024**3, 8)
    request = infer_request("m", {"x": np.zeros((10, 2))})
    failed = kept_call(method=MODEL_INFER, code=13, request=request, response=None, response_bytes=0)
    sink.write([recorder.record(failed)])
    sink.close()
    run = backtest.run(reference(), tmp_path / "calls")
    assert list(run) == []
    assert (run.account.observed, run.account.skipped) == (1, {})


def test_one_version_of_a_journal_is_chosen(tmp_path: Path) -> None:
    folder = journal(tmp_path / "calls", versions=("v1", "v2"))
    with pytest.raises(TableError, match="'v1' and 'v2'; choose one with --model-version"):
        list(backtest.run(reference(), folder))
    run = backtest.run(reference(), folder, backtest.Plan(version="v2"))
    assert {alarm.feature for alarm in run} == {"x[0]", "x[1]"}
    assert (run.rows, run.account.skipped) == (3000, {"other_version": 300})
