"""Which RPC methods are named in traces; every other one is ``_OTHER``.

A client may call any method it likes, so an unchecked name would be an unbounded label. The RPC conventions
ask for a list of recognised methods: the inference protocols' own, and those the configuration names.
"""

from collections.abc import Iterable

from pilotfish.telemetry.text import sendable

OTHER = "_OTHER"
_UNIMPLEMENTED = 12
_MOST_LEARNED = 64

_KNOWN = {
    "inference.GRPCInferenceService": (
        "ServerLive ServerReady ModelReady ServerMetadata ModelMetadata ModelInfer ModelStreamInfer "
        "ModelConfig ModelStatistics RepositoryIndex RepositoryModelLoad RepositoryModelUnload "
        "SystemSharedMemoryStatus SystemSharedMemoryRegister SystemSharedMemoryUnregister "
        "CudaSharedMemoryStatus CudaSharedMemoryRegister CudaSharedMemoryUnregister "
        "TraceSetting LogSettings"
    ),
    "tensorflow.serving.PredictionService": "Classify Regress Predict MultiInference GetModelMetadata",
    "tensorflow.serving.ModelService": "GetModelStatus HandleReloadConfigRequest",
    "grpc.health.v1.Health": "Check Watch List",
    "grpc.reflection.v1.ServerReflection": "ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection": "ServerReflectionInfo",
}

_BUILT_IN = frozenset(f"{service}/{name}" for service, names in _KNOWN.items() for name in names.split())


class Methods:
    """The recognised methods, as telemetry writes them: ``package.Service/Method``.

    A method that is not built in is recognised once a server has answered it with anything but
    UNIMPLEMENTED, and only so many of them: the rule by which the core counts calls.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._recognised = _BUILT_IN | {method.removeprefix("/") for method in more}
        self._learned: set[str] = set()

    def name(self, method: str, code: int) -> str:
        """The method when it is recognised, else ``_OTHER``; ``code`` is the gRPC status of its call."""
        plain = sendable(method.removeprefix("/"))
        if plain in self._recognised or plain in self._learned:
            return plain
        if code == _UNIMPLEMENTED or len(self._learned) >= _MOST_LEARNED:
            return OTHER
        self._learned.add(plain)
        return plain
