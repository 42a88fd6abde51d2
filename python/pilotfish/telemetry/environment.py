"""What is to be exported, and where: settings and ``OTEL_*`` variables -> a plan. Pure.

The SDK reads ``OTEL_{TRACES,METRICS,LOGS}_EXPORTER`` only in its private auto-configuration, so they are
read here; the rest (headers, certificates, compression, temporality, batch sizes) the exporters read by
themselves. The environment wins over the file, as for every other setting.

Nothing is exported unless something asks for it: no retries against a receiver on localhost that nobody runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from opentelemetry.sdk.trace import sampling

from pilotfish.settings.reporting import TelemetrySettings

Signal: TypeAlias = Literal["metrics", "traces", "logs"]
Protocol: TypeAlias = Literal["grpc", "http"]

_PROTOCOLS: Mapping[str, Protocol] = {"grpc": "grpc", "http/protobuf": "http"}


@dataclass(frozen=True)
class Destination:
    """Where one signal goes."""

    kind: Literal["otlp", "console"]
    protocol: Protocol = "grpc"
    endpoint: str | None = None
    """URL from the settings; None leaves it to the exporter, which reads the environment."""
    timeout_seconds: float | None = None
    """From the settings; None leaves it to the exporter, which reads the environment."""


@dataclass(frozen=True)
class Plan:
    """What is exported."""

    metrics: tuple[Destination, ...]
    traces: tuple[Destination, ...]
    logs: tuple[Destination, ...]
    interval_seconds: float | None
    """Between two exports of metrics; None leaves it to the reader, which reads the environment."""
    warnings: tuple[str, ...]
    """Values that were ignored, as the OpenTelemetry specification asks, each with its remedy."""


def plan(settings: TelemetrySettings, environ: Mapping[str, str]) -> Plan:
    """Decide what is exported and where."""
    warnings: list[str] = []
    wanted: dict[Signal, bool] = {"metrics": True, "traces": settings.traces, "logs": settings.logs}
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Plan((), (), (), None, ())
    metrics, traces, logs = (
        _destinations(signal, wanted[signal], settings, environ, warnings) for signal in wanted
    )
    interval = None if environ.get("OTEL_METRIC_EXPORT_INTERVAL") else settings.interval
    return Plan(metrics, traces, logs, interval, tuple(warnings))


def _destinations(
    signal: Signal,
    wanted: bool,
    settings: TelemetrySettings,
    environ: Mapping[str, str],
    warnings: list[str],
) -> tuple[Destination, ...]:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    asked = [name.strip().lower() for name in environ.get(variable, "").split(",") if name.strip()]
    if not asked:
        return (
            (_otlp(signal, settings, environ, warnings),)
            if wanted and _has_endpoint(signal, settings, environ)
            else ()
        )
    found: list[Destination] = []
    for name in asked:
        if name == "otlp":
            found.append(_otlp(signal, settings, environ, warnings))
        elif name == "console":
            found.append(Destination("console"))
        elif name not in ("none", "prometheus"):  # the Prometheus page is always there, on the admin address
            warnings.append(f"{variable}: unknown exporter {name!r} is ignored; use otlp, console or none")
    return tuple(found)


def _has_endpoint(signal: Signal, settings: TelemetrySettings, environ: Mapping[str, str]) -> bool:
    return bool(settings.otlp.endpoint or _environment_endpoint(signal, environ))


def _environment_endpoint(signal: Signal, environ: Mapping[str, str]) -> str | None:
    return _first(environ, f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def _otlp(
    signal: Signal, settings: TelemetrySettings, environ: Mapping[str, str], warnings: list[str]
) -> Destination:
    protocol = _protocol(signal, settings, environ, warnings)
    endpoint = None if _environment_endpoint(signal, environ) else settings.otlp.endpoint
    if endpoint and protocol == "http":
        endpoint = f"{endpoint.rstrip('/')}/v1/{signal}"
    timeout = _first(environ, f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    return Destination("otlp", protocol, endpoint, None if timeout else settings.otlp.timeout)


def _protocol(
    signal: Signal, settings: TelemetrySettings, environ: Mapping[str, str], warnings: list[str]
) -> Protocol:
    name = _first(environ, f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if name is None:
        return settings.otlp.protocol
    if name not in _PROTOCOLS:
        known = " or ".join(_PROTOCOLS)
        warnings.append(f"OTEL_EXPORTER_OTLP_PROTOCOL: {name!r} is ignored for {signal}; use {known}")
    return _PROTOCOLS.get(name, settings.otlp.protocol)


def _first(environ: Mapping[str, str], *variables: str) -> str | None:
    values = (environ.get(variable, "").strip() for variable in variables)
    return next((value for value in values if value), None)


def positive(environ: Mapping[str, str], variable: str, default: int) -> int:
    """A whole number above zero from the environment, else the default."""
    text = environ.get(variable, "").strip()
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default


def sampler(environ: Mapping[str, str]) -> sampling.Sampler:
    """Decides which of the kept calls become traces: all of them, unless the environment says otherwise.

    The core samples already, by ``sampling`` of the configuration; a second lottery by default would throw
    away calls that were kept for a reason.
    """
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    base, is_parent_based = name.removeprefix("parentbased_"), name.startswith("parentbased_")
    if base == "always_off":
        root: sampling.Sampler = sampling.ALWAYS_OFF
    elif base == "traceidratio":
        root = sampling.TraceIdRatioBased(_ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", "")))
    else:
        root = sampling.ALWAYS_ON
    return sampling.ParentBased(root) if is_parent_based else root


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        return 1.0
    return ratio if 0.0 <= ratio <= 1.0 else 1.0
