"""Serves and watches calls with nothing but the data plane and the engine; prints what Python has loaded.

Run by the interpreter of the environment in question. Usage: python plain_call.py CALLS
"""

import asyncio
import json
import sys
import time

import grpc
import numpy as np

from pilotfish import _core, settings
from pilotfish.plane.grpcio import GrpcioPlane
from pilotfish.testing.model import MODEL_INFER, FakeModel, infer_request, infer_response

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


async def main(calls: int) -> None:
    answer = infer_response("plain", {"y": ROWS[:, 0]})
    async with FakeModel({MODEL_INFER: answer}) as model:
        flags = {"upstream": model.address, "listen": "127.0.0.1:0"}
        chosen = settings.load(None, {}, flags)
        engine = _core.Engine(chosen.engine_configuration(), {}, time.monotonic_ns())
        plane = GrpcioPlane(chosen, engine, lambda call: None)
        async with grpc.aio.insecure_channel(await plane.start()) as channel:
            for _ in range(calls):
                assert await channel.unary_unary(MODEL_INFER)(infer_request("plain", {"x": ROWS})) == answer
        await plane.drain(1.0)
        engine.flush(10.0)
        watched = json.loads(engine.snapshot(time.monotonic_ns()))["models"]
        engine.close()
    json.dump({"rows": watched[0]["rows"], "modules": sorted(sys.modules)}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
