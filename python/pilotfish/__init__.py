"""pilotfish: a gRPC sidecar that routes, watches and journals the calls to a model server."""

from pilotfish._core import __version__

__all__ = ["__version__"]
