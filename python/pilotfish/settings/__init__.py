"""Configuration of a sidecar: one YAML file, the environment and flags, validated once into frozen values.

:func:`load` reads them; :class:`Settings` is the result; ``python -m pilotfish.settings.reference`` writes
the manual.
"""

from pilotfish.settings.loading import Beginning, Source, load
from pilotfish.settings.observing import (
    AlarmSettings,
    JournalSettings,
    MonitorSettings,
    Sampling,
    TensorSettings,
)
from pilotfish.settings.reporting import LogSettings, OtlpSettings, TelemetrySettings
from pilotfish.settings.root import Limits, Settings
from pilotfish.settings.routing import Candidate, Match, Route, Shadow, Tolerance, Version
from pilotfish.settings.tls import ListenerTls, UpstreamTls

__all__ = [
    "AlarmSettings",
    "Beginning",
    "Candidate",
    "JournalSettings",
    "Limits",
    "ListenerTls",
    "LogSettings",
    "Match",
    "MonitorSettings",
    "OtlpSettings",
    "Route",
    "Sampling",
    "Settings",
    "Shadow",
    "Source",
    "TelemetrySettings",
    "TensorSettings",
    "Tolerance",
    "UpstreamTls",
    "Version",
    "load",
]
