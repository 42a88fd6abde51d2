"""Methods known to have one request and one response.

For these a call takes the short way: message and half-close leave in one batch. Every other method is
forwarded as a stream in both directions, which is right for all kinds and dearer. A method that can stream
must never stand here.
"""

from collections.abc import Iterable, Mapping

_OIP = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
)

_SELDON_UNARY = ("Predict", "SendFeedback", "TransformInput", "TransformOutput", "Route", "Aggregate")

UNARY_METHODS: Mapping[str, tuple[str, ...]] = {
    "inference.GRPCInferenceService": (
        *_OIP,
        "ModelConfig",
        "ModelStatistics",
        "RepositoryIndex",
        "RepositoryModelLoad",
        "RepositoryModelUnload",
        "SystemSharedMemoryStatus",
        "SystemSharedMemoryRegister",
        "SystemSharedMemoryUnregister",
        "CudaSharedMemoryStatus",
        "CudaSharedMemoryRegister",
        "CudaSharedMemoryUnregister",
        "TraceSetting",
        "LogSettings",
    ),
    "inference.ModelRepositoryService": ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"),
    "org.pytorch.serve.grpc.openinference.GRPCInferenceService": _OIP,
    "org.pytorch.serve.grpc.inference.InferenceAPIsService": ("Ping", "Predictions"),
    "tensorflow.serving.PredictionService": (
        "Classify",
        "Regress",
        "Predict",
        "MultiInference",
        "GetModelMetadata",
    ),
    "tensorflow.serving.ModelService": ("GetModelStatus", "HandleReloadConfigRequest"),
    "grpc.health.v1.Health": ("Check",),
    "seldon.protos.Seldon": ("Predict", "SendFeedback", "ModelMetadata", "GraphMetadata"),
    "seldon.protos.Model": ("Predict", "SendFeedback", "Metadata"),
    "seldon.protos.Generic": _SELDON_UNARY[1:],
    "seldon.protos.Router": ("Route", "SendFeedback"),
    "seldon.protos.Transformer": ("TransformInput",),
    "seldon.protos.OutputTransformer": ("TransformOutput",),
    "seldon.protos.Combiner": ("Aggregate",),
    "bentoml.grpc.v1.BentoService": ("Call", "ServiceMetadata"),
    "bentoml.grpc.v1alpha1.BentoService": ("Call",),
}
"""By service, from the protocol definitions of the servers."""


def known_unary(further: Iterable[str] = ()) -> frozenset[str]:
    """Paths (``/package.Service/Method``) of all methods known unary, with those a configuration adds."""
    built_in = (f"/{service}/{method}" for service, methods in UNARY_METHODS.items() for method in methods)
    return frozenset((*built_in, *further))
