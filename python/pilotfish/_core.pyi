"""The Rust core.

Routing, sampling, statistics, and reading of messages. Private: use the modules of ``pilotfish``.

Nothing in here calls back into Python. Every class is frozen and may be used from any thread. Time is
always an argument: monotonic nanoseconds (``time.monotonic_ns()``), never wall time.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict, final, type_check_only

import numpy as np
import numpy.typing as npt

__all__ = [
    "ConfigurationError",
    "Decision",
    "Engine",
    "NativePlane",
    "ProfileBuilder",
    "ProfileError",
    "__version__",
    "decode",
    "describe_profile",
    "distance",
]

__version__: str

class ConfigurationError(ValueError):
    """The engine's configuration cannot be used; the message names the value and the remedy."""

class ProfileError(ValueError):
    """A profile cannot be read or built: truncated, altered, of a newer format, or without rows."""

@final
class Decision:
    """What was decided for one call before it is forwarded. Hand it back to :meth:`Engine.observe`."""

    @property
    def version(self) -> str:
        """Name of the version that answers."""
    @property
    def route(self) -> str: ...
    @property
    def role(self) -> Literal["primary", "canary"]: ...
    @property
    def strategy(self) -> Literal["static", "canary", "fallback"]:
        """Why: the route has one version, its weights were drawn, or no route matched."""
    @property
    def shadow(self) -> str | None:
        """Version that shall see a copy of the call, or None."""
    @property
    def shadow_timeout(self) -> float:
        """Seconds the shadow may take; 0.0 without a shadow."""
    @property
    def call_id(self) -> str:
        """``x-request-id`` if the client sent one (up to 128 bytes), else the trace id, else the seed."""
    @property
    def traceparent(self) -> str | None:
        """W3C trace context as the client sent it."""

@type_check_only
class NativeCall(TypedDict):
    """The fields of a ``KeptCall``."""

    call_id: str
    reason: str
    route: str
    version: str
    role: str
    strategy: str
    method: str
    code: int
    message: str
    started_unix_ns: int
    duration_ns: int
    upstream_ns: int
    request: bytes | None
    response: bytes | None
    request_bytes: int
    response_bytes: int
    metadata: tuple[tuple[str, str | bytes], ...]
    traceparent: str | None
    peer: str
    upstream: str

@final
class NativePlane:
    """The native data plane: threads that forward calls, and none of them ever takes the GIL.

    ``configuration`` is JSON (see ``pilotfish.plane.native``). Listens and accepts calls once constructed.

    Raises ConfigurationError, or OSError when the address cannot be listened on.
    """

    def __new__(cls, engine: Engine, configuration: str) -> NativePlane: ...
    @property
    def address(self) -> str:
        """Where it listens, with the real port where 0 was asked for."""
    @property
    def serving(self) -> bool:
        """Whether new connections are accepted."""
    def upstreams(self) -> dict[str, Literal["ready", "connecting", "unreachable"]]:
        """State of the connection to each version."""
    def drain(self, seconds: float) -> bool:
        """Let calls under way end within ``seconds``, break off the rest, stop.

        True when all ended by themselves.
        """
    def flush(self, timeout: float) -> bool:
        """Wait until the messages forwarded so far are in the statistics; False when it took longer."""
    def counters(self) -> bytes:
        """JSON: connections, refusals, resets and failures since the start."""
    def kept(self, most: int, timeout: float) -> list[NativeCall]:
        """Take up to ``most`` kept calls, oldest first; waits up to ``timeout`` seconds for one.

        Each must be settled with :meth:`Engine.settle`.
        """

@final
class Engine:
    """Everything that is decided and counted in one sidecar.

    ``configuration`` is JSON (see ``Settings.engine_configuration``); ``profiles`` maps version
    names to the bytes of a profile file. Starts the observer thread; :meth:`close` stops it.

    Raises ConfigurationError or ProfileError.
    """

    def __new__(cls, configuration: str, profiles: Mapping[str, bytes], now_ns: int) -> Engine: ...
    def decide(self, method: str, metadata: Iterable[tuple[str, str | bytes]], seed: int) -> Decision:
        """First crossing.

        Choose route, version and shadow for a call. Never raises for anything a client can send.

        ``method`` is the ``:path`` (``/package.Service/Method``); ``seed`` 64 random bits, used where
        the client sent nothing to be sticky to.
        """
    def observe(
        self,
        decision: Decision,
        code: int,
        duration_ns: int,
        upstream_ns: int,
        now_ns: int,
        request: bytes | None,
        response: bytes | None,
        request_bytes: int,
        response_bytes: int,
    ) -> str | None:
        """Second crossing, after the reply was forwarded.

        Count the call and queue its messages for the statistics.

        ``code`` is the gRPC status. ``request``/``response`` are whole messages, or None (streams hand
        them to :meth:`observe_message` as they pass; calls without a message have none). Returns the
        reason why the call is kept (``"sampled"``, ``"error"``, ``"slow"``, ``"canary"``) or None when
        it is sampled out. A kept call must be settled with :meth:`settle`. Never blocks: when the
        observer is behind, the messages are dropped and counted.
        """
    def observe_message(
        self, decision: Decision, direction: Literal["input", "output"], message: bytes, now_ns: int
    ) -> None:
        """Queue one message of a streaming call for the statistics."""
    def settle(self, outcome: str | None) -> None:
        """Say what became of a kept call.

        None when the journal has written it, else why it was dropped (``queue_full``, ``disk``...).

        Raises RuntimeError when no kept call is waiting: each may be settled once.
        """
    def admit_shadow(self, decision: Decision) -> bool:
        """Whether the shadow call may start now; when too many are in flight it is dropped and counted."""
    def observe_shadow(
        self,
        decision: Decision,
        code: int,
        now_ns: int,
        response: bytes | None,
        primary_code: int,
        primary_response: bytes | None,
    ) -> None:
        """End of an admitted shadow call.

        Count it and queue both answers for comparison. Code 4 counts as time-out.
        """
    def snapshot(self, now_ns: int, detail: bool = False) -> bytes:
        """All numbers as JSON (UTF-8). ``detail`` adds bins and exponential histograms of every feature."""
    def alarms(self, after: int) -> bytes:
        """JSON array of the last 1,024 alarm events with a sequence above ``after``, oldest first."""
    def learned_profile(self, version: str) -> bytes | None:
        """Profile learned from the first live rows of a version without one; None until enough came."""
    def flush(self, timeout: float) -> bool:
        """Wait until the observer's queue is worked off; False when ``timeout`` seconds were too short."""
    def close(self) -> None:
        """Stop the observer thread after its queue is worked off. Later calls count, but are not observed."""

@final
class ProfileBuilder:
    """Builds a reference profile from columns, in one pass with bounded memory, chunk by chunk."""

    def __new__(cls, model: str, bins: int = 32) -> ProfileBuilder: ...
    def add_numbers(
        self, name: str, direction: Literal["input", "output"], values: npt.NDArray[np.float64]
    ) -> None:
        """Add rows of a numeric feature; NaN is missing. ``values`` is one-dimensional."""
    def add_categories(
        self, name: str, direction: Literal["input", "output"], values: Sequence[str | bytes | None]
    ) -> None:
        """Add rows of a categorical feature; None is missing."""
    def finish(self) -> bytes:
        """The bytes of the profile file. Raises ProfileError when nothing was added."""

def describe_profile(profile: bytes) -> dict[str, Any]:
    """What a profile file holds.

    ``{"model", "rows", "hash", "features": [{"name", "kind", "rows", ...}]}``. Raises ProfileError.
    """

def decode(method: str, direction: Literal["input", "output"], message: bytes) -> dict[str, Any]:
    """Read one message as the statistics do.

    ``{"model", "version", "id", "tensors": [{"name", "datatype", "shape", "values"}], "defects":
    {tensor: reason}, "error": message of a Triton stream or None}``. Raises ValueError with the reason
    when it cannot be read.
    """

def distance(
    name: Literal["psi", "jensen_shannon", "ks"], reference: Sequence[int], current: Sequence[int]
) -> float:
    """A binned distance between two vectors of counts of equal length, as exported in the snapshot."""
