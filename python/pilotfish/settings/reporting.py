"""Settings of what leaves the process: OpenTelemetry, Prometheus, logs."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pilotfish.settings.section import Section, Text
from pilotfish.settings.units import Flag, Seconds


def _endpoint(url: str) -> str:
    if "://" not in url:
        raise ValueError(f"has no scheme; write http://{url}")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http or https URL; write http://HOST:4317")
    if parts.username or parts.password:
        raise ValueError("holds credentials; take them out and set OTEL_EXPORTER_OTLP_HEADERS")
    try:
        _ = parts.port
    except ValueError as exc:
        raise ValueError("the port is not a number from 0 to 65535; write http://HOST:4317") from exc
    return url


Endpoint = Annotated[Text, AfterValidator(_endpoint)]


class OtlpSettings(Section):
    """The OpenTelemetry receiver."""

    endpoint: Endpoint | None = None
    """URL of the receiver, such as http://127.0.0.1:4317. Without it OTEL_EXPORTER_OTLP_ENDPOINT decides;
    without both nothing is sent."""
    protocol: Literal["grpc", "http"] = "grpc"
    """`grpc` (usually port 4317) or `http` (usually port 4318)."""
    timeout: Seconds = Field(default=2.0, ge=0.01, le=60)
    """How long one export may take."""


class TelemetrySettings(Section):
    """OpenTelemetry and Prometheus. The OTEL_* variables are honoured."""

    otlp: OtlpSettings = OtlpSettings()
    """Where OpenTelemetry data goes."""
    interval: Seconds = Field(default=10.0, ge=0.05, le=3600)
    """How often metrics are sent."""
    prometheus: Flag = True
    """Serve /metrics on the admin address."""
    traces: Flag = True
    """Send a span for every kept call."""
    logs: Flag = True
    """Send alarms and events as log records."""
    resource: dict[Text, Text] = Field(default={}, max_length=64)
    """Resource attributes, such as deployment.environment.name."""


class LogSettings(Section):
    """The log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["json", "console"] = "json"
    """`json` for machines, `console` for people."""
