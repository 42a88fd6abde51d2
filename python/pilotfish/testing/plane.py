"""A data plane in this process, on a free port: for tests of interceptors and of what is kept."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pilotfish import certificates
from pilotfish._core import Certificates, Engine
from pilotfish.call import Keep, KeptCall
from pilotfish.plane import Plane
from pilotfish.plane.grpcio import GrpcioPlane
from pilotfish.plane.native import NativePlane
from pilotfish.settings import Settings


@dataclass(frozen=True)
class RunningPlane:
    """What a test can look at."""

    address: str
    """Where clients connect."""
    plane: Plane
    engine: Engine
    certificates: Certificates
    """Those of the TLS settings; :meth:`Certificates.look` reads the files again."""
    kept: list[KeptCall] = field(default_factory=list)
    """The kept calls, oldest first; each is settled as if a journal had written it."""

    @property
    def port(self) -> int:
        """The port of ``address``."""
        return int(self.address.rpartition(":")[2])

    async def flush(self, seconds: float = 20.0) -> None:
        """Wait until every message forwarded so far is in the statistics."""
        if isinstance(self.plane, NativePlane):
            await self.plane.flush(seconds)
        await asyncio.to_thread(self.engine.flush, seconds)


@asynccontextmanager
async def running(
    listen: str = "127.0.0.1:0", keep: Keep | None = None, **settings: Any
) -> AsyncIterator[RunningPlane]:
    """Run a plane, and drain it without grace at the end.

    ``settings`` are fields of :class:`~pilotfish.settings.Settings`. ``keep`` is given the kept calls instead
    of the list.
    """
    checked = Settings.model_validate({"listen": listen, **settings})
    engine = Engine(checked.engine_configuration(), {}, time.monotonic_ns())
    kept: list[KeptCall] = []

    def collect(call: KeptCall) -> None:
        kept.append(call)
        engine.settle(None)

    made = NativePlane if checked.plane == "native" else GrpcioPlane
    shown = certificates.read(checked)
    plane = made(checked, engine, keep or collect, shown)
    try:
        yield RunningPlane(await plane.start(), plane, engine, shown, kept)
    finally:
        await plane.drain(0)
        engine.close()
