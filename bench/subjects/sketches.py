"""DataSketches KLL (C++): one quantile sketch per column, updated with whole columns."""

import numpy as np
from datasketches import kll_floats_sketch

from bench.subjects.matrix import report, rows


def main() -> None:
    columns = np.ascontiguousarray(rows().T)
    sketches = [kll_floats_sketch(200) for _ in columns]
    report("DataSketches KLL, k = 200", lambda: list(map(kll_floats_sketch.update, sketches, columns)))


if __name__ == "__main__":
    main()
