"""Writes rows of river's SEA and STAGGER generators, one file per concept. Runs in river's own environment.

``python river_concepts.py FOLDER ROWS``
"""

import sys
from itertools import islice
from pathlib import Path

import numpy as np
from river.datasets import synth

FOLDER, ROWS = Path(sys.argv[1]), int(sys.argv[2])
STREAMS = {
    **{f"sea-{concept}": synth.SEA(variant=concept, noise=0.1, seed=40 + concept) for concept in range(4)},
    **{
        f"stagger-{concept}": synth.STAGGER(classification_function=concept, seed=50 + concept)
        for concept in range(3)
    },
}

for name, stream in STREAMS.items():
    rows = [(*x.values(), y) for x, y in islice(stream, ROWS)]
    np.save(FOLDER / f"{name}.npy", np.array(rows, np.float64))
