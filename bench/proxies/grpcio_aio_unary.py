"""A bare grpcio proxy on asyncio that knows every method is unary: the shortest way in grpcio's public API.

Usage: python -m bench.proxies.grpcio_aio_unary LISTEN_PORT UPSTREAM_PORT
"""

import asyncio
import sys

import grpc

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Forward(grpc.GenericRpcHandler):
    """Answers every method by asking the upstream."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """The handler of one call."""
        upstream = self.channel.unary_unary(details.method)

        async def forward(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            call = upstream(request, metadata=context.invocation_metadata())
            reply: bytes = await call
            context.set_trailing_metadata(await call.trailing_metadata())
            return reply

        return grpc.unary_unary_rpc_method_handler(forward)


async def main(listen: str, upstream: str) -> None:
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{upstream}", options=OPTIONS)
    server = grpc.aio.server(handlers=[Forward(channel)], options=OPTIONS)
    server.add_insecure_port(f"127.0.0.1:{listen}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
