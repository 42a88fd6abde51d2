"""whylogs: a data frame at a time, and a row at a time, as a server has them; one profile throughout."""

import logging

import pandas as pd
from whylogs.core import DatasetProfile

from bench.subjects.matrix import COLUMNS, report, rows

SINGLE_ROWS = 16


def main() -> None:
    logging.disable(logging.WARNING)  # it asks for an account
    frame = pd.DataFrame(rows(), columns=[f"x{index}" for index in range(COLUMNS)])
    single = [
        {name: float(value) for name, value in row.items()} for _, row in frame.head(SINGLE_ROWS).iterrows()
    ]
    profile = DatasetProfile()
    report("whylogs, data frames of 4,096 rows", lambda: profile.track(frame))
    report("whylogs, row by row", lambda: [profile.track(row) for row in single], SINGLE_ROWS * COLUMNS)


if __name__ == "__main__":
    main()
