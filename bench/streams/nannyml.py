"""nannyml's univariate drift by chunk, at its default method (Jensen-Shannon) and thresholds."""

import sys
import warnings

import nannyml
import pandas as pd

from bench.streams.task import Task, found


def main() -> None:
    warnings.simplefilter("ignore")
    task, chunk = Task.read(), int(sys.argv[1])
    nannyml.disable_usage_logging()
    calculator = nannyml.UnivariateDriftCalculator(column_names=task.columns, chunk_size=chunk)
    calculator.fit(pd.read_csv(task.reference))
    first, last = task.watched()
    first += (task.change - first) % chunk
    results = calculator.calculate(pd.read_csv(task.analysis).iloc[first:last]).filter(period="analysis")
    ends = [first + (position + 1) * chunk for position in range((last - first) // chunk)]
    for column in task.columns:
        flags = results.to_df()[column]["jensen_shannon"]["alert"].tolist()
        found(column, [end for end, flag in zip(ends, flags, strict=False) if flag], task.change)


if __name__ == "__main__":
    main()
