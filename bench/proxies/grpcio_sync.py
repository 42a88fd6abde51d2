"""A bare grpcio proxy with threads: every method as stream_stream, bytes in, bytes out.

Usage: python -m bench.proxies.grpcio_sync LISTEN_PORT UPSTREAM_PORT
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Forward(grpc.GenericRpcHandler):
    """Answers every method by asking the upstream."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """The handler of one call."""
        upstream = self.channel.stream_stream(details.method)

        def forward(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            call = upstream(requests, metadata=context.invocation_metadata())
            yield from call
            context.set_trailing_metadata(call.trailing_metadata())
            context.set_code(call.code())
            context.set_details(call.details())

        return grpc.stream_stream_rpc_method_handler(forward)


def main(listen: str, upstream: str) -> None:
    channel = grpc.insecure_channel(f"127.0.0.1:{upstream}", options=OPTIONS)
    server = grpc.server(ThreadPoolExecutor(max_workers=300), handlers=[Forward(channel)], options=OPTIONS)
    server.add_insecure_port(f"127.0.0.1:{listen}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
