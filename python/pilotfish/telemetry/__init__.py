"""Telemetry: what pilotfish says about itself and the models, over OTLP and on the Prometheus page.

The only package that uses OpenTelemetry. It pulls snapshots from the core and never stands on the path of a
call.
"""

from pilotfish.telemetry.pipeline import SHUTDOWN_SECONDS, Telemetry
from pilotfish.telemetry.prometheus import CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "SHUTDOWN_SECONDS", "Telemetry"]
