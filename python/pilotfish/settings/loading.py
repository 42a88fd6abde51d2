"""Reading the configuration: all sources, all problems at once, one frozen result.

Nothing is started from a configuration that has a single problem; so everything that can be known beforehand
is checked here, the profile files included.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pilotfish import _core, profile
from pilotfish.errors import ConfigurationError, ProfileError, RestartNeeded
from pilotfish.settings import document, last_good, lasting, problem
from pilotfish.settings.address import ListenAddress
from pilotfish.settings.conflicts import conflicts
from pilotfish.settings.root import Settings
from pilotfish.settings.routing import Route, Version
from pilotfish.settings.sources import Layers
from pilotfish.settings.tls import ListenerTls, certificate_configuration


@dataclass(frozen=True)
class Beginning:
    """What a sidecar starts from."""

    settings: Settings
    problems: tuple[str, ...] = ()
    """Why it is not the configuration that was given but the last good one; empty when it is."""


class Source:
    """Where the settings come from, to be read again and again: a file, and what is laid over it.

    ``last_good`` is where the file's text is kept while it is in force.
    """

    def __init__(
        self,
        path: Path | None,
        environ: Mapping[str, str],
        flags: Mapping[str, Any] | None = None,
        last_good: Path | None = None,
    ) -> None:
        self.path = path
        self.last_good = last_good
        self._read = b""
        self._environ = dict(environ)
        self._flags = flags or {}
        self.first = self.fingerprint()
        """The fingerprint before anything was loaded."""

    def load(self, running: Settings | None = None) -> Settings:
        """As :func:`load`."""
        self._read = b"" if self.path is None else _head(self.path)
        return load(self.path, self._environ, self._flags, running)

    def begin(self) -> Beginning:
        """What to start from. Raises ConfigurationError when there is nothing that can be used."""
        try:
            return Beginning(self.load())
        except ConfigurationError as exc:
            if self.path is None or self.last_good is None:
                raise
            text = last_good.read(self.last_good)
            if text is None:
                raise ConfigurationError(
                    *exc.problems, f"{self.last_good}: no last good configuration yet"
                ) from exc
            try:
                # Paths in it begin where the file was that it is a copy of.
                held = document.parse(text, str(self.path))
                return Beginning(_load(held, self._environ, self._flags, None), tuple(exc.problems))
            except ConfigurationError as second:
                also = f"{self.last_good}: the last good configuration cannot be used either"
                raise ConfigurationError(*exc.problems, also, *second.problems) from exc

    def remember(self) -> None:
        """What was loaded last is in force: keep its text. Never raises."""
        # A file that was written meanwhile is another one.
        if self.path is not None and self.last_good is not None and self._read == _head(self.path):
            last_good.keep(self.last_good, self._read)

    def fingerprint(self) -> str:
        """Changes when the file does. Never raises.

        Of the content, not of the file: a volume of Kubernetes exchanges the folder that it is in.
        """
        return "" if self.path is None else hashlib.sha256(_head(self.path)).hexdigest()


def load(
    path: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
    running: Settings | None = None,
) -> Settings:
    """Read, merge and check the settings: flags win over the environment, that over the file, then defaults.

    ``flags`` maps the names in ``sources.FLAGS`` and ``sources.SHORT`` to values; None means not given.
    ``running`` are the settings in force, if there are.

    Raises ConfigurationError with every problem found, RestartNeeded if there is no other than that what is
    ``running`` cannot follow.
    """
    return _load(None if path is None else document.read(path), environ, flags, running)


def _load(
    file: document.Document | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
    running: Settings | None,
) -> Settings:
    layers = Layers()
    if file is not None:
        layers.add_file(file)
    layers.add_environment(environ)
    layers.add_flags(flags)
    found = [(0, text) for text in layers.problems]
    try:
        settings = Settings.model_validate(layers.value)
    except ValidationError as exc:
        found += problem.problems(exc, layers)
        if not any(item["type"] == "conflict" for item in exc.errors()):
            found += _conflicts(layers)
        found += _files(_readable(ListenerTls, layers.value.get("tls")), _versions(layers), layers)
    else:
        found += _files(settings.tls, settings.versions, layers)
    if found:
        raise ConfigurationError(*_sorted(found))
    if running is not None and (late := _restart(running, settings, layers)):
        raise RestartNeeded(*_sorted(late))
    return settings


def _sorted(found: list[tuple[int, str]]) -> list[str]:
    return list(dict.fromkeys(text for _, text in sorted(found, key=lambda item: item[0])))


def _restart(running: Settings, wanted: Settings, layers: Layers) -> list[tuple[int, str]]:
    what = "cannot change while the sidecar runs (it is {}); restart it, or set it back"
    return [
        problem.line(
            where, layers, what.format(problem.shown(where, value)), value=layers.at(where) is not None
        )
        for where, value in lasting.changed(running, wanted)
    ]


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(document.MAX_BYTES + 1)
    except OSError as exc:
        return repr(exc.errno).encode()


def _conflicts(layers: Layers) -> list[tuple[int, str]]:
    """What disagrees among the parts that are readable, while others are not."""
    value = layers.value
    named = value.get("versions")
    routes = value.get("routes")
    routes = routes if isinstance(routes, list) else []
    unary = value.get("unary_methods")
    plane = value.get("plane")
    found = conflicts(
        plane=plane if plane == "native" else None,
        listen=_readable(ListenAddress, value.get("listen", Settings.model_fields["listen"].default)),
        tls=_readable(ListenerTls, value.get("tls")),
        admin=_readable(ListenAddress, value.get("admin", Settings.model_fields["admin"].default)),
        names=tuple(named) if isinstance(named, dict) else (),
        versions=_versions(layers),
        routes={index: read for index, item in enumerate(routes) if (read := _readable(Route, item))},
        unary_methods=[item for item in unary if isinstance(item, str)] if isinstance(unary, list) else (),
    )
    return [problem.line(conflict.path, layers, conflict.what) for conflict in found]


def _versions(layers: Layers) -> dict[str, Version]:
    named = layers.value.get("versions")
    items = named.items() if isinstance(named, dict) else ()
    return {name: read for name, item in items if (read := _readable(Version, item))}


def _readable(kind: Any, value: Any) -> Any:
    """The value, if need be without the keys that cannot be read; None when nothing of it can be."""
    adapter = TypeAdapter[Any](kind)
    try:
        return adapter.validate_python(value)
    except ValidationError as exc:
        bad = {item["loc"][0] for item in exc.errors() if item["loc"]}
    if not isinstance(value, dict):
        return None
    try:
        return adapter.validate_python({key: item for key, item in value.items() if key not in bad})
    except ValidationError:
        return None


def _files(tls: ListenerTls | None, versions: Mapping[str, Version], layers: Layers) -> list[tuple[int, str]]:
    return [*_profiles(versions, layers), *_certificates(tls, versions, layers)]


def _certificates(
    tls: ListenerTls | None, versions: Mapping[str, Version], layers: Layers
) -> Iterator[tuple[int, str]]:
    """What is wrong with the files of each section, so that one does not hide the others."""
    sections = [certificate_configuration(tls, {})]
    sections += [certificate_configuration(None, {name: version}) for name, version in versions.items()]
    for section in sections:
        try:
            _core.Certificates(section, int(time.time()))
        except _core.CertificateError as exc:
            name, setting, what = exc.args
            where = ("tls", setting) if name is None else ("versions", name, "tls", setting)
            yield problem.line(where, layers, what, value=False)
        except _core.ConfigurationError:
            return  # a key without its other half is a conflict, and reported as that


def _profiles(versions: Mapping[str, Version], layers: Layers) -> list[tuple[int, str]]:
    found = []
    for name, version in versions.items():
        if version.profile is None:
            continue
        try:
            profile.check(profile.read(version.profile))
        except ProfileError as exc:
            found.append(problem.line(("versions", name, "profile"), layers, str(exc)))
    return found
