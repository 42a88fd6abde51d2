"""The whole configuration of one sidecar, as validated, frozen values.

Checked once, at the edge: after it nothing else in the program needs to doubt a setting.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from pilotfish.settings.address import ListenAddress
from pilotfish.settings.conflicts import Conflict, conflicts
from pilotfish.settings.engine import engine_configuration, policy_configuration
from pilotfish.settings.observing import JournalSettings, MonitorSettings, Sampling, StateSettings
from pilotfish.settings.reporting import LogSettings, TelemetrySettings
from pilotfish.settings.routing import Method, Route, Version
from pilotfish.settings.section import Name, Section, Text
from pilotfish.settings.tls import ListenerTls, certificate_configuration
from pilotfish.settings.units import Bytes, Flag, Off, Seconds, Whole


def _interceptor(name: str) -> str:
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in module.split(".")) or not attribute.isidentifier():
        raise ValueError("does not name a class; write package.module:Class")
    return name


class Limits(Section):
    """What a stranger may ask for, never below what a model server accepts by default.

    All but the first two are limits of the native plane; grpcio has its own.
    """

    concurrent_streams: Whole = Field(default=1024, ge=1, le=2**31 - 1)
    """Calls at a time on one connection; clients wait with further ones."""
    metadata: Bytes = Field(default=1024**2, ge=8192, le=2**24 - 1)
    """Size of the metadata of one call."""
    connections: Whole = Field(default=10_000, ge=1, le=1_000_000)
    """Client connections at a time on each thread; further ones are closed at once."""
    pending_resets: Whole = Field(default=4096, ge=1, le=1_000_000)
    """Calls of one connection that were cancelled before they could be looked at; more end the
    connection."""
    faults: Whole = Field(default=65_536, ge=1, le=2**31 - 1)
    """Calls that one connection may break by its own mistakes during its life; more end it."""
    housekeeping: Whole = Field(default=10_000, ge=100, le=2**53)
    """Frames of one connection that belong to no message (PING, SETTINGS, PRIORITY, WINDOW_UPDATE,
    RST_STREAM, empty DATA, unknown types), beyond four for each frame of its calls and a hundredth of this
    each second; more end it."""
    handshake: Seconds = Field(default=10.0, ge=0.01, le=600)
    """How long a client may take to begin to speak HTTP/2."""
    idle: Seconds = Field(default=3600.0, ge=1, le=30 * 86_400)
    """A connection without calls is asked to go after this."""
    connect: Seconds = Field(default=5.0, ge=0.01, le=600)
    """How long connecting to a model server may take."""
    stream_window: Bytes = Field(default=1024**2, ge=65_535, le=2**31 - 1)
    """Bytes of one call that may be under way before the other side has taken them."""
    connection_window: Bytes = Field(default=16 * 1024**2, ge=65_535, le=2**31 - 1)
    """The same for all calls of a connection together; one that stands still is lent its own."""
    memory: Bytes = Field(default=256 * 1024**2, ge=1024**2, le=2**53)
    """Bytes that are held for clients and model servers that do not read, of all connections together.
    Beyond it, clients that hold more than an even share get no new calls, and their calls that are not read
    end."""
    stall: Seconds = Field(default=3600.0, ge=0.01, le=30 * 86_400)
    """A call whose client, or model server, has not read anything for so long while there is something to
    read is ended; a connection that has been asked to go, and does not read either, is closed."""
    frame: Bytes = Field(default=16 * 1024, ge=16_384, le=2**24 - 1)
    """Largest HTTP/2 frame that is accepted."""
    upstream_connections: Whole = Field(default=64, ge=1, le=10_000)
    """Connections to one model server from each thread. Up to so many clients have one for themselves."""
    observed_message: Bytes = Field(default=64 * 1024**2, ge=1024, le=2**31 - 1)
    """Longest message that is read for the statistics; longer ones are only forwarded, and counted."""

    def native_configuration(self) -> dict[str, int]:
        """The form the native plane reads: bytes, and times in nanoseconds."""
        times = {"handshake", "idle", "connect", "stall"}
        fields = self.model_dump(exclude=times)
        return fields | {f"{name}_ns": round(getattr(self, name) * 1_000_000_000) for name in times}


class Settings(Section):
    """The whole configuration. Precedence: flags, then environment, then file, then these defaults."""

    listen: ListenAddress = "127.0.0.1:9000"
    """Where clients connect: HOST:PORT, [IPV6]:PORT or unix:/path."""
    tls: ListenerTls | None = None
    """TLS with clients."""
    certificate_interval: Seconds = Field(default=10.0, ge=0.1, le=86_400)
    """How often the files of certificates are read again; new ones are used by handshakes from then on, bad
    ones are reported and change nothing."""
    admin: ListenAddress = "127.0.0.1:9901"
    """Where health, metrics and the HTTP API are served. Keep it on the loopback interface: it asks nobody
    for a password."""
    plane: Literal["grpcio", "native"] = "native"
    """What forwards the calls. `native` is invisible to both sides and fast; `grpcio` runs interceptors
    written in Python."""
    forward_client_address: Flag = False
    """Whether the model server is told the client's IP address, in `x-forwarded-for`. What a client sends
    under that name is then taken out; otherwise it goes on like any metadata, and the model server must not
    trust it."""
    threads: Whole = Field(default=1, ge=1, le=256)
    """Threads of the native plane. One forwards as much as a core can."""
    versions: dict[Name, Version] = Field(min_length=1, max_length=64)
    """The versions of the model, by name."""
    routes: tuple[Route, ...] = Field(default=(), max_length=1000)
    """Which version answers which calls. Without any, one route named `default` leads to the first
    version."""
    sampling: Sampling = Sampling()
    """Which calls are kept."""
    monitor: MonitorSettings = MonitorSettings()
    """The statistics of features and predictions."""
    journal: JournalSettings | None = None
    """Where kept calls are written; null writes none."""
    state: StateSettings | None = None
    """Where the statistics are kept over a restart; null begins anew."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """OpenTelemetry and Prometheus."""
    interceptors: tuple[Annotated[Text, AfterValidator(_interceptor)], ...] = Field(default=(), max_length=32)
    """`grpc.aio.ServerInterceptor` classes on the path of a call, as package.module:Class; the first is the
    outermost. Only the grpcio plane runs them."""
    unary_methods: tuple[Method, ...] = Field(default=(), max_length=1000)
    """Methods with one request and one response, beside those pilotfish knows. They take a shorter way."""
    log: LogSettings = LogSettings()
    """The log on standard error."""
    reload: Annotated[Literal["watch", "signal", "off"], Off] = "watch"
    """When the configuration is read again, for new calls: `watch` looks at the file once a second and obeys
    SIGHUP and POST /api/v1/config/reload, `signal` obeys those two, `off` none. Versions, routes, sampling,
    `monitor.values_per_second` and drain can change; a configuration that cannot be used changes nothing."""
    drain: Seconds = Field(default=5.0, ge=0, le=600)
    """How long calls under way may take to end after SIGTERM."""
    limits: Limits = Limits()
    """What one connection may ask for."""

    @model_validator(mode="before")
    @classmethod
    def _default_route(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("routes"):
            versions = data.get("versions")
            if isinstance(versions, dict) and versions:
                return {**data, "routes": ({"name": "default", "stable": next(iter(versions))},)}
        return data

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        found = conflicts(
            plane=self.plane,
            interceptors=self.interceptors,
            listen=self.listen,
            tls=self.tls,
            admin=self.admin,
            names=tuple(self.versions),
            versions=self.versions,
            routes=dict(enumerate(self.routes)),
            unary_methods=self.unary_methods,
        )
        if found:
            raise ValidationError.from_exception_data("Settings", [_detail(conflict) for conflict in found])
        return self

    def engine_configuration(self) -> str:
        """The part the Rust engine needs, as the JSON it reads."""
        return engine_configuration(self)

    def certificate_configuration(self) -> str:
        """The part about certificates, as the JSON that ``_core.Certificates`` reads."""
        return certificate_configuration(self.tls, self.versions)

    def policy_configuration(self) -> str:
        """The part of it that may change while the sidecar runs."""
        return policy_configuration(self)

    def effective(self) -> dict[str, Any]:
        """Everything in force as plain data with units (``5s``, ``64MiB``); what may be secret is masked."""
        from pilotfish.settings.secret import mask

        masked = mask(self.model_dump(mode="json"))
        assert isinstance(masked, dict)
        return masked


def _detail(conflict: Conflict) -> InitErrorDetails:
    error = PydanticCustomError("conflict", "{what}", {"what": conflict.what})
    return InitErrorDetails(type=error, loc=conflict.path, input=conflict.value)
