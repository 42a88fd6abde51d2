"""Settings of the routing: which versions of the model exist, and which of them answers a call.

Shares are parts per million so that they are exact: ``weight_ppm: 100000`` is 10 %.
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from pilotfish.settings.address import UpstreamAddress
from pilotfish.settings.section import MetadataKey, Name, Section, Text
from pilotfish.settings.tls import UpstreamTls
from pilotfish.settings.units import Bytes, Millionths, Seconds, Whole

MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"


def _method(pattern: str) -> str:
    if not pattern.startswith("/"):
        raise ValueError("does not begin with '/'; write /package.Service/Method or /package.Service/*")
    if "*" in pattern[:-1]:
        raise ValueError(
            "'*' is allowed only at the end, where it matches the rest; write /package.Service/*"
        )
    return pattern


def _full_method(method: str) -> str:
    if not method.startswith("/") or method.count("/") != 2 or "*" in method:
        raise ValueError(f"is not a full method name; write it as {MODEL_INFER}")
    return method


def _sticky(key: str) -> str:
    kind, _, name = key.partition(":")
    if kind != "metadata" or not name:
        raise ValueError("is not a sticky key; write metadata:KEY, such as metadata:x-user-id")
    if name != name.lower():
        raise ValueError(f"metadata keys are lower-case on the wire; write metadata:{name.lower()}")
    return key


MethodPattern = Annotated[Text, AfterValidator(_method)]
Method = Annotated[Text, AfterValidator(_full_method)]
StickyKey = Annotated[Text, AfterValidator(_sticky)]


class Version(Section):
    """One model server that can answer."""

    upstream: UpstreamAddress
    """Where the model server of this version listens: HOST:PORT, [IPV6]:PORT or unix:/path."""
    profile: Path | None = None
    """Reference profile its traffic is compared with (see `pilotfish profile`); without one, the first rows
    are the reference."""
    tls: UpstreamTls | None = None
    """TLS with its model server."""


class Match(Section):
    """Which calls a route takes; everything named must hold."""

    method: MethodPattern | None = None
    """Full method name, or a beginning followed by `*`."""
    metadata: dict[MetadataKey, Text] = Field(default={}, max_length=16)
    """Metadata the call must carry, key and exact value."""


class Candidate(Section):
    """A version that takes a share of the route."""

    version: Name
    """Name of the version."""
    weight_ppm: Millionths
    """Its share in parts per million: 100000 is 10 %. The stable version takes the rest."""


class Tolerance(Section):
    """How far apart two numbers may be and still count as equal: `|a-b| <= absolute + relative*|b|`."""

    absolute: float = Field(default=1e-4, ge=0)
    """Largest absolute difference."""
    relative: float = Field(default=1e-4, ge=0)
    """Largest difference relative to the answer of the version that answered."""


class Shadow(Section):
    """A version that sees a copy of the call and never answers it."""

    version: Name
    """Name of the version."""
    share_ppm: Millionths = 1_000_000
    """Share of the calls copied, in parts per million."""
    max_in_flight: Whole = Field(default=16, ge=1, le=10_000)
    """Copies under way at a time; beyond it they are dropped and counted."""
    max_bytes: Bytes = Field(default=64 * 1024**2, ge=64 * 1024, le=16 * 1024**3)
    """Memory that their requests, and the answers theirs are compared with, may take; beyond it they are
    dropped and counted. One copy at a time may have more."""
    timeout: Seconds = Field(default=2.0, ge=0.001, le=600)
    """How long a copy may take."""
    methods: tuple[Method, ...] = Field(default=(MODEL_INFER,), min_length=1, max_length=100)
    """Methods that may be copied, of those known to have one request and one response. Name only ones that
    change nothing on the server."""
    tolerance: Tolerance = Tolerance()
    """When two answers count as equal."""


class Route(Section):
    """Which version answers the calls that match. The first route that matches decides."""

    name: Name
    """Name in metrics and logs."""
    match: Match = Match()
    """Which calls it takes; all of them when left out."""
    stable: Name
    """Version that answers what the candidates do not."""
    candidates: tuple[Candidate, ...] = Field(default=(), max_length=16)
    """Versions that take a share."""
    sticky: tuple[StickyKey, ...] = Field(default=(), max_length=8)
    """Keys that keep a client on one version, as `metadata:KEY`; the first one present counts. Without one,
    every call is drawn anew."""
    salt: str = Field(default="", strict=True, max_length=128)
    """Goes into the draw of the sticky key: another salt gives another division of the same clients."""
    shadow: Shadow | None = None
    """A version that sees copies."""
