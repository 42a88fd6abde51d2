"""Reads sketches with the Python library of Apache DataSketches, in an environment of its own.

Reads ``{"distinct": [hex, ...], "frequent": [hex, ...], "add": [text, ...]}`` as JSON from standard input:
sketches of either kind, and texts that are added to the merged ones. Writes what each says by itself and what
they say merged.
"""

import json
import sys
from typing import Any

import datasketches as ds


def main() -> None:
    asked = json.load(sys.stdin)
    distinct = [ds.hll_sketch.deserialize(bytes.fromhex(one)) for one in asked["distinct"]]
    frequent = [ds.frequent_strings_sketch.deserialize(bytes.fromhex(one)) for one in asked["frequent"]]
    union, total = ds.hll_union(12), ds.frequent_strings_sketch(10)
    for one in distinct:
        union.update(one)
    for other in frequent:
        total.merge(other)
    for text in asked["add"]:
        union.update(text)
        total.update(text)
    told = {
        "distinct": [
            [one.get_estimate(), one.get_lower_bound(2), one.get_upper_bound(2)] for one in distinct
        ],
        "frequent": [top(one) for one in frequent],
        "merged_distinct": union.get_estimate(),
        "merged_frequent": top(total),
    }
    json.dump(told, sys.stdout)


def top(sketch: Any) -> list[list[Any]]:
    """Text, lower and upper bound of every frequent text."""
    rows = sketch.get_frequent_items(ds.frequent_items_error_type.NO_FALSE_POSITIVES)
    return sorted([text, low, high] for text, _, low, high in rows)


if __name__ == "__main__":
    main()
