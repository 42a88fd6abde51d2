"""river's detectors over streams, in an environment of their own: alarms, and nanoseconds per value.

Reads ``[{"detector": "ADWIN", "settings": {}, "stream": "values.npy"}, ...]`` as JSON from standard input;
writes ``{"alarms": [indices], "ns_per_value": ...}`` for each, as a list.
"""

import json
import sys
import time
from typing import Any

import numpy as np
from river import drift


def main() -> None:
    json.dump([found(case) for case in json.load(sys.stdin)], sys.stdout)


def found(case: dict[str, Any]) -> dict[str, Any]:
    name = case["detector"]
    detector = getattr(drift, name, None) or getattr(drift.binary, name)
    watching = detector(**case["settings"])
    values = np.load(case["stream"]).tolist()
    alarms = []
    began = time.perf_counter_ns()
    for index, value in enumerate(values):
        watching.update(value)
        if watching.drift_detected:
            alarms.append(index)
    return {"alarms": alarms, "ns_per_value": (time.perf_counter_ns() - began) / len(values)}


if __name__ == "__main__":
    main()
