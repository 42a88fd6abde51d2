"""alibi-detect's online Cramér-von Mises detector, row by row against rows of the reference.

It asks for an expected run time and windows, which have no defaults: those given. Thresholds are made by
bootstrap, which takes a quarter of a minute per column already for so few rows of reference. After an alarm
it begins anew.
"""

import logging
import sys
import warnings

import numpy as np

from bench.streams.task import Task, found, numbers

ROWS, RUN_TIME, WINDOWS = 500, 500, (20, 100)


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from alibi_detect.cd import CVMDriftOnline

    task = Task.read()
    first, last = task.watched()
    random = np.random.default_rng(1)
    for column in task.numeric:
        reference = random.choice(numbers(task.reference, column), ROWS, replace=False).reshape(-1, 1)
        np.random.seed(1)  # it draws from the global one
        detector = CVMDriftOnline(
            reference, ert=RUN_TIME, window_sizes=list(WINDOWS), n_bootstraps=10 * RUN_TIME, verbose=False
        )
        alarms = []
        for row, value in enumerate(numbers(task.analysis, column)[first:last], first + 1):
            if detector.predict(np.array([value]))["data"]["is_drift"]:
                alarms.append(row)
                detector.reset_state()
        found(column, alarms, task.change)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
