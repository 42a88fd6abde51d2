"""Where settings come from: a file, the environment, flags; and how they become one tree.

Every value remembers its origin, so that a mistake is reported where it was made. Later layers win; mappings
are merged key by key, lists and values are replaced.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from pilotfish.settings.document import Document, Where

PREFIX = "PILOTFISH_"

FLAGS: Mapping[str, Where] = {
    "listen": ("listen",),
    "admin": ("admin",),
    "plane": ("plane",),
    "journal": ("journal", "directory"),
    "state": ("state", "directory"),
    "otlp": ("telemetry", "otlp", "endpoint"),
    "calls": ("monitor", "learn_rows"),
}
"""Flags of the command line and the settings they stand for."""

SHORT = ("upstream", "profile")
"""Flags and variables (PILOTFISH_UPSTREAM) that mean the only version, whatever its name."""

_NOT_SETTINGS = frozenset({"PILOTFISH_CONFIG", "PILOTFISH_LAST_GOOD"})
"""Variables of `pilotfish run` that say where settings are read from."""

# Kubernetes sets these for a Service called `pilotfish` or `pilotfish-...`; they are not ours.
_SERVICE_LINK = re.compile(
    r"PILOTFISH_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)


@dataclass(frozen=True)
class Origin:
    """Where one value was given."""

    kind: Literal["file", "environment", "flag"]
    text: str
    """``pilotfish.yaml:7``, ``environment PILOTFISH_LISTEN`` or ``--listen``."""
    line: int = 0


@dataclass
class Layers:
    """The merged tree, the origin of its parts, and what could not be merged."""

    value: dict[str, Any] = field(default_factory=dict)
    origins: dict[Where, Origin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def origin(self, where: Where) -> tuple[Where, Origin | None]:
        """The nearest origin at or above a place, and the place it belongs to."""
        for length in range(len(where), 0, -1):
            if found := self.origins.get(where[:length]):
                return where[:length], found
        return (), None

    def at(self, where: Where) -> Any:
        """The value at a place; None when there is none."""
        value: Any = self.value
        for step in where:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def add_file(self, document: Document) -> None:
        """Lay a file below everything added later. Paths in it are relative to its folder."""
        self.value = _grounded(document.value, Path(document.file).parent)
        for where, line in document.lines.items():
            self.origins[where] = Origin("file", f"{document.file}:{line}", line)
        for where, line, first in document.repeated:
            self.problems.append(
                f"{document.file}:{line}: {show(where)}: is given twice (first on line {first}); keep one"
            )

    def add_environment(self, environ: Mapping[str, str]) -> None:
        """Lay the PILOTFISH_* variables over what is there."""
        for name, text in sorted(environ.items()):
            if not name.startswith(PREFIX) or name in _NOT_SETTINGS or _SERVICE_LINK.fullmatch(name):
                continue
            origin = Origin("environment", f"environment {name}")
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
            self._set_or_short(path, _plain(text), origin)

    def add_flags(self, flags: Mapping[str, Any]) -> None:
        """Lay the flags that were given (not None) over what is there."""
        for name, value in flags.items():
            if value is not None:
                self._set_or_short(FLAGS.get(name, (name,)), value, Origin("flag", f"--{name}"))

    def _set_or_short(self, where: Where, value: Any, origin: Origin) -> None:
        if where not in {(name,) for name in SHORT}:
            self._set(where, value, origin)
            return
        versions = self.value.get("versions") or {}
        if not isinstance(versions, dict) or len(versions) > 1:
            count = len(versions) if isinstance(versions, dict) else "no readable"
            self.problems.append(
                f"{origin.text}: got {value!r}: there are {count} versions, so it is unclear which is meant; "
                f"set versions.NAME.{where[0]} in the file instead"
            )
            return
        self._set(("versions", next(iter(versions), "v1"), where[0]), value, origin)

    def _set(self, where: Where, value: Any, origin: Origin) -> None:
        if isinstance(value, dict) and value and isinstance(self.at(where), dict):
            for key, item in value.items():
                self._set((*where, str(key)), item, origin)
            return
        parent: Any = self.value
        for depth, step in enumerate(where[:-1], start=1):
            if not isinstance(parent.get(step), dict):
                parent[step] = {}
                self.origins.setdefault(where[:depth], origin)
            parent = parent[step]
        for inner in [place for place in self.origins if place[: len(where)] == where]:
            del self.origins[inner]
        parent[where[-1]] = value
        self.origins[where] = origin


def show(where: Where) -> str:
    """A place as people write it: ``routes[0].candidates[1].version``."""
    return "".join(_steps(where)).removeprefix(".")


def _steps(where: Where) -> Iterator[str]:
    for step in where:
        if isinstance(step, int):
            yield f"[{step}]"
        else:
            yield f".{step}" if re.fullmatch(r"[\w-]+", step) else f"[{step!r}]"


def _plain(text: str) -> Any:
    """The value of a variable: what YAML makes of it, else the text (``[::]:9000`` is not YAML)."""
    if text == "":
        return text
    try:
        return yaml.safe_load(text) if len(text) <= 65_536 and "*" not in text else text
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _grounded(value: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Copy of the data of a file with its relative paths joined to the folder of the file."""
    value = dict(value)
    if isinstance(value.get("versions"), dict):
        value["versions"] = {
            name: _with_tls(_joined(item, "profile", folder), folder)
            for name, item in value["versions"].items()
        }
    for section in ("journal", "state"):
        if isinstance(value.get(section), dict):
            value[section] = _joined(value[section], "directory", folder)
    grounded: dict[str, Any] = _with_tls(value, folder)
    return grounded


def _with_tls(section: Any, folder: Path) -> Any:
    if not isinstance(section, dict) or not isinstance(section.get("tls"), dict):
        return section
    tls = section["tls"]
    for key in ("certificate", "key", "client_ca", "ca"):
        tls = _joined(tls, key, folder)
    return {**section, "tls": tls}


def _joined(section: Any, key: str, folder: Path) -> Any:
    if isinstance(section, dict) and isinstance(section.get(key), str) and section[key]:
        return {**section, key: str(folder / section[key])}
    return section
