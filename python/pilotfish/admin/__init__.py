"""The admin address: health, metrics and the HTTP API of one sidecar.

It runs in a thread and an event loop of its own, so that a slow scrape never delays a call, and answers
whatever the model servers do.
"""

from pilotfish.admin.health import Health
from pilotfish.admin.pages import Sidecar
from pilotfish.admin.server import Admin

__all__ = ["Admin", "Health", "Sidecar"]
