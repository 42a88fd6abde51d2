"""Recorded scores and labels of nannyml's synthetic car loans (0.13.1), whole and as counts.

``python tests/data/car_loan.py FOLDER`` writes ``car_loan.json``, counts by score bin, predicted class and
label, from the CSV files in FOLDER (``nannyml/datasets/data``). The inputs change at row 25,000 of those that
are analysed.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pilotfish.statistics.performance import ScoreTable

CHANGE_ROW = 25_000
Rows = npt.NDArray[np.float64]
"""Columns: score, predicted, label."""


def recorded(folder: Path) -> dict[str, Rows]:
    """The reference, and the rows before and after the change."""
    reference = _columns(folder / "synthetic_car_loan_reference.csv", "y_pred_proba", "y_pred", "repaid")
    scores = _columns(folder / "synthetic_car_loan_analysis.csv", "y_pred_proba", "y_pred")
    labels = _columns(folder / "synthetic_car_loan_analysis_target.csv", "repaid")
    analysis = np.concatenate([scores, labels], axis=1)
    return {"reference": reference, "before": analysis[:CHANGE_ROW], "after": analysis[CHANGE_ROW:]}


def counted(rows: Rows) -> ScoreTable:
    """All rows of a part, in one table."""
    table = ScoreTable()
    table.update(rows[:, 0], rows[:, 1], rows[:, 2])
    return table


def _columns(path: Path, *names: str) -> Rows:
    def rows() -> Iterator[list[float]]:
        with path.open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                yield [float(row[name]) for name in names]

    return np.array(list(rows()))


if __name__ == "__main__":
    tables = {name: json.loads(counted(rows).to_json()) for name, rows in recorded(Path(sys.argv[1])).items()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(tables, separators=(",", ":")) + "\n")
