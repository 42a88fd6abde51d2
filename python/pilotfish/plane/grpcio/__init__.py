"""The grpcio data plane: ``grpc.aio`` on both sides, messages forwarded as bytes.

It exists for people who need Python on the path: ordinary ``grpc.aio.ServerInterceptor`` classes run in it.
It forwards messages, not frames, so some properties of a call cannot survive: ``guarantees.yaml`` lists
each of them.
"""

from pilotfish.plane.grpcio.server import GrpcioPlane

__all__ = ["GrpcioPlane"]
