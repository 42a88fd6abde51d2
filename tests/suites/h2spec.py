"""h2spec against the native plane's listener, with a backend that answers everything with a body.

Usage: python h2spec.py DIRECTORY-OF-TOOLS
"""

import asyncio
import sys

from conformance.http2 import Backend, Call

from pilotfish.testing.plane import running


async def hello(call: Call) -> None:
    await call.until_over()
    if call.reset is None and not call.lost:
        await call.send_headers([(":status", "200"), ("content-type", "text/plain")])
        await call.send_data(b"hello", end=True)


async def main(tools: str) -> int:
    """The exit code of h2spec."""
    backend = Backend()
    backend.script = hello
    backend.port = await backend.start()
    async with running(plane="native", versions={"v1": {"upstream": f"127.0.0.1:{backend.port}"}}) as plane:
        arguments = ["-h", "127.0.0.1", "-p", str(plane.port), "--timeout", "2"]
        process = await asyncio.create_subprocess_exec(f"{tools}/h2spec", *arguments)
        code = await process.wait()
    await backend.stop()
    return code


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(*sys.argv[1:])))
