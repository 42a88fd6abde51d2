"""The W3C ``traceparent`` of a call, read without a library.

A leaf, because both the log lines and the spans of a call name its trace.
Source: W3C Trace Context, "traceparent Header Field Values".
"""

import re
from typing import NamedTuple

# Of a later version more may follow; `ff` is not a version, and ids of zeros are not ids.
_HEADER = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


class TraceParent(NamedTuple):
    """Trace and span of the caller."""

    trace_id: int
    span_id: int
    flags: int
    """Bit 0: the caller records its part."""


def parse(header: str | None) -> TraceParent | None:
    """Read a header; None when there is none or it is not valid."""
    match = _HEADER.fullmatch(header.strip()) if header else None
    if match is None or (match[1] == "00" and match[5]):
        return None
    return TraceParent(int(match[2], 16), int(match[3], 16), int(match[4], 16) & 1)
