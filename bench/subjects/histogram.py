"""numpy.histogram of each column: equal bins, and the quantile bins of a reference, which drift needs."""

from itertools import starmap

import numpy as np

from bench.subjects.matrix import report, rows

BINS = 32


def main() -> None:
    columns = np.ascontiguousarray(rows().T)
    equal = [(column, BINS, (column.min(), column.max())) for column in columns]
    quantile = [(column, np.quantile(column, np.linspace(0, 1, BINS + 1))) for column in columns]
    report("numpy.histogram, 32 equal bins", lambda: list(starmap(np.histogram, equal)))
    report("numpy.histogram, 32 quantile bins", lambda: list(starmap(np.histogram, quantile)))


if __name__ == "__main__":
    main()
