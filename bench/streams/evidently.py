"""evidently's data drift preset at its defaults: chunks against the reference, by the test it chooses."""

import sys
import warnings

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

from bench.streams.task import Task, found


def main() -> None:
    warnings.simplefilter("ignore")
    task, chunk = Task.read(), int(sys.argv[1])
    reference, analysis = (
        pd.read_csv(path, usecols=task.columns) for path in (task.reference, task.analysis)
    )
    alarms: dict[str, list[int]] = {column: [] for column in task.columns}
    first, last = task.watched()
    first += (task.change - first) % chunk
    for end in range(first + chunk, last + 1, chunk):
        for column in drifted(reference, analysis.iloc[end - chunk : end]):
            alarms[column].append(end)
    for column, rows in alarms.items():
        found(column, rows, task.change)


def drifted(reference: pd.DataFrame, chunk: pd.DataFrame) -> list[str]:
    report = Report([DataDriftPreset()]).run(chunk, reference)
    return [
        metric["config"]["column"]
        for metric in report.dict()["metrics"]
        if metric["config"].get("column") and is_drift(metric)
    ]


def is_drift(metric: dict) -> bool:  # type: ignore[type-arg]
    config, value = metric["config"], metric["value"]
    is_p_value = "p_value" in str(config.get("method"))
    return bool(value < config["threshold"]) if is_p_value else bool(value >= config["threshold"])


if __name__ == "__main__":
    main()
