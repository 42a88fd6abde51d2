"""What lasts as long as the process: settings that a reload cannot change.

Everything that the engine exchanges in one piece may change while calls are under way; sockets, threads,
queues and files were made at the start from what was read then.
"""

from collections.abc import Iterator
from typing import Any

from pilotfish.settings.document import Where
from pilotfish.settings.root import Settings

LIVE: dict[str, bool | set[str]] = {
    "versions": True,
    "routes": True,
    "sampling": True,
    "drain": True,
    "monitor": {"values_per_second"},
}
"""Settings that a reload may change, with everything below them; but see :func:`changed`."""


def changed(running: Settings, wanted: Settings) -> Iterator[tuple[Where, Any]]:
    """The settings that would have to change and cannot: where, and the value that stays in force."""
    before, after = (settings.model_dump(mode="json", exclude=LIVE) for settings in (running, wanted))
    for name in before:
        yield from _differences((name,), before[name], after[name])
    for name, version in running.versions.items():
        other = wanted.versions.get(name)
        # Connections are kept while name and address stay: they would go on as they were.
        if other is not None and other.upstream == version.upstream and other.tls != version.tls:
            tls = None if version.tls is None else version.tls.model_dump(mode="json")
            yield ("versions", name, "tls"), tls


def _differences(where: Where, before: Any, after: Any) -> Iterator[tuple[Where, Any]]:
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        for name in before:
            yield from _differences((*where, name), before[name], after[name])
    elif before != after:
        yield where, before
