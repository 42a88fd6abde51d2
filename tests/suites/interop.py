"""The cases of grpc-go's interop client against its interop server, directly or through the native plane.

Usage: python interop.py (direct|native|grpcio) DIRECTORY-OF-TOOLS
"""

import asyncio
import sys
from contextlib import AsyncExitStack

from bench.stand import free_port

from pilotfish.testing.plane import running

PATIENCE = 60.0
CASES = (
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
    "custom_metadata", "status_code_and_message", "special_status_message", "unimplemented_method",
    "unimplemented_service", "cancel_after_begin", "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "rpc_soak", "channel_soak",
)  # fmt: skip
"""All but those that need credentials or another server, and those the client does not have."""


async def main(plane: str, tools: str) -> int:
    """Exit code 1 when a case failed."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(f"{tools}/interop_server", f"--port={port}")
    async with AsyncExitStack() as stack:
        stack.callback(server.terminate)
        await listening(port)
        if plane != "direct":
            stand = running(plane=plane, versions={"v1": {"upstream": f"127.0.0.1:{port}"}})
            port = (await stack.enter_async_context(stand)).port
        failed = [case for case in CASES if await failing(tools, port, case)]
    sys.stdout.write(f"{len(CASES) - len(failed)} of {len(CASES)} cases passed {failed or ''}\n")
    return 1 if failed else 0


async def failing(tools: str, port: int, case: str) -> bool:
    arguments = [f"--server_port={port}", "--use_tls=false", f"--test_case={case}", "--soak_iterations=200"]
    client = await asyncio.create_subprocess_exec(
        f"{tools}/interop_client", "--server_host=127.0.0.1", "--soak_overall_timeout_seconds=30", *arguments
    )
    return await asyncio.wait_for(client.wait(), PATIENCE) != 0


async def listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


if __name__ == "__main__":
    raise SystemExit(asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 300)))
