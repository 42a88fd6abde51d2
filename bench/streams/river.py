"""river's detector of the given name, at its defaults: the column against its own past, row by row."""

import sys

from river import drift

from bench.streams.task import Task, found, numbers


def main() -> None:
    task = Task.read()
    first, last = task.watched()
    for column in task.numeric:
        settings = {"seed": 1} if sys.argv[1] == "KSWIN" else {}
        detector = getattr(drift, sys.argv[1])(**settings)
        alarms = []
        for row, value in enumerate(numbers(task.analysis, column)[first:last], first + 1):
            detector.update(value)
            if detector.drift_detected:
                alarms.append(row)
        found(column, alarms, task.change)


if __name__ == "__main__":
    main()
