"""A bare grpcio proxy on asyncio: every method as stream_stream, bytes in, bytes out.

Usage: python -m bench.proxies.grpcio_aio LISTEN_PORT UPSTREAM_PORT
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import grpc

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Forward(grpc.GenericRpcHandler):
    """Answers every method by asking the upstream."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """The handler of one call."""
        upstream = self.channel.stream_stream(details.method)

        async def forward(
            requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
        ) -> AsyncIterator[bytes]:
            call = upstream(requests, metadata=context.invocation_metadata())
            async for reply in call:
                yield reply
            context.set_trailing_metadata(await call.trailing_metadata())
            context.set_code(await call.code())
            context.set_details(await call.details())

        return grpc.stream_stream_rpc_method_handler(forward)


async def main(listen: str, upstream: str) -> None:
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{upstream}", options=OPTIONS)
    server = grpc.aio.server(handlers=[Forward(channel)], options=OPTIONS)
    server.add_insecure_port(f"127.0.0.1:{listen}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
