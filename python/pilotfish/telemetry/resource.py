"""The resource: who is speaking. Defaults, then the configuration, then the environment on top."""

from collections.abc import Mapping

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from pilotfish import __version__


def resource(configured: Mapping[str, str]) -> Resource:
    """The resource; ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` win over ``configured``."""
    ours = {"service.name": "pilotfish", "service.version": __version__, **configured}
    # `create` puts what it is given above the environment, so the environment is laid on once more.
    return Resource.create(ours).merge(OTELResourceDetector().detect())
