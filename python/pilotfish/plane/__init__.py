"""The data planes: what stands between a client and the model.

A plane only forwards bytes. Every decision is the engine's; what a plane can and cannot carry is published
in its ``guarantees.yaml``, from which ``docs/guarantees.md`` and the expected failures of the tests are
made.
"""

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

from pilotfish.settings import Settings

UpstreamState: TypeAlias = Literal["ready", "connecting", "unreachable"]
"""What is known about the connection to one model server, without asking it anything."""


class Plane(Protocol):
    """Life of a data plane, as the application sees it."""

    async def start(self) -> str:
        """Listen and return the bound address (the port is a real one where 0 was asked for).

        Raises AddressInUse when the address is taken, ConfigurationError when an interceptor cannot be used.
        """

    def connect(self, settings: Settings) -> None:
        """Connect to the model servers of settings that are about to be in force, beside those there are.

        Call it in the event loop, as :meth:`release`.
        """

    def release(self, settings: Settings) -> None:
        """Let go of all model servers but those of these settings: each once its last call has ended."""

    async def drain(self, seconds: float) -> None:
        """Take no new calls, let those under way end within ``seconds``, cancel the rest, disconnect."""

    @property
    def ready(self) -> bool:
        """Whether calls are accepted. Says nothing of the models: their health is theirs to answer for."""

    def counters(self) -> Mapping[str, int]:
        """Connections, refusals and the ends that are nobody's answer, by name; empty if it counts none."""

    def upstreams(self) -> Mapping[str, UpstreamState]:
        """State of the connection to each version."""
