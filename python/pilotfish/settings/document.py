"""A YAML file as plain data that remembers on which line each part stands.

The ordinary loader forgets lines, takes the last of two equal keys in silence, and expands aliases without
limit. This one builds the data itself from the composed nodes: keys are always texts as written, a key given
twice is an error, and size, depth and expansion are bounded, because the file may come from a stranger's
ConfigMap.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from pilotfish.errors import ConfigurationError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 100_000

Where: TypeAlias = tuple[str | int, ...]
"""Place in nested data: keys and positions from the top."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAPPING_TAG, _SEQUENCE_TAG = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"


@dataclass(frozen=True)
class Document:
    """The data of a file and the line (from 1) of every key and list item in it."""

    file: str
    value: dict[str, Any]
    lines: dict[Where, int]
    repeated: tuple[tuple[Where, int, int], ...] = ()
    """Keys given twice: where, on which line again, on which line first."""


def read(path: Path) -> Document:
    """Read and parse a file. Raises ConfigurationError when it cannot be read as one YAML mapping."""
    return parse(_text(path), str(path))


def parse(text: str, file: str) -> Document:
    """Parse the text of a file. Raises ConfigurationError."""
    try:
        _check_depth(text, file)
        root = yaml.compose(text, Loader=_LOADER)
        builder = _Builder(file)
        value = None if root is None else builder.build(root, (), 0)
    except yaml.MarkedYAMLError as exc:
        raise ConfigurationError(_syntax(exc, file)) from exc
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"{file}: is not YAML: {exc}; save it as UTF-8 text") from exc
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{file}:1: is not a mapping; begin with a key, such as 'versions:'")
    return Document(
        file, value, builder.lines if root is not None else {}, tuple(builder.repeated) if root else ()
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError as exc:
        raise ConfigurationError(f"{path}: is a folder; name the configuration file in it") from exc
    except FileNotFoundError as exc:
        raise ConfigurationError(f"{path}: no such file; check the path") from exc
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be read: {exc.strerror}; check its permissions") from exc
    if len(data) > MAX_BYTES:
        raise ConfigurationError(
            f"{path}: is larger than 1 MiB; a configuration is not that long, check the path"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigurationError(f"{path}:{line}: is not UTF-8; save the file as UTF-8 text") from exc


def _check_depth(text: str, file: str) -> None:
    # The parser is a state machine, the composer recursive: count first, so that `[[[[...` cannot hurt it.
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigurationError(_too_deep(file, _line(event)))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _too_deep(file: str, line: int) -> str:
    return f"{file}:{line}: is nested deeper than {MAX_DEPTH} levels; no setting is, check the brackets"


def _syntax(exc: yaml.MarkedYAMLError, file: str) -> str:
    mark = exc.problem_mark or exc.context_mark
    line = "" if mark is None else f":{mark.line + 1}"
    what = exc.problem or exc.context or "unreadable"
    if "nesting depth" in what:  # the parser's own limit, which newer ones reach while they look ahead
        return _too_deep(file, 1 if mark is None else mark.line + 1)
    remedy = "correct the indentation and brackets there, and quote texts that begin with [ { * & ! % @ `"
    if "\\t" in what:
        remedy = "indent with spaces, not tabs"
    return f"{file}{line}: is not YAML: {what}; {remedy}"


@dataclass
class _Builder:
    file: str
    lines: dict[Where, int] = field(default_factory=dict)
    repeated: list[tuple[Where, int, int]] = field(default_factory=list)
    _left: int = MAX_NODES
    _scalars: Any = field(default_factory=lambda: yaml.SafeLoader(""))

    def build(self, node: yaml.Node, where: Where, depth: int) -> Any:
        line = node.start_mark.line + 1
        self._left -= 1
        if self._left < 0:
            raise ConfigurationError(
                f"{self.file}:{line}: holds more than {MAX_NODES} values, aliases (*name) counted; shorten it"
            )
        if depth > MAX_DEPTH:  # only reached by an alias inside what it stands for
            raise ConfigurationError(_too_deep(self.file, line))
        if isinstance(node, yaml.MappingNode):
            self._expect(node, _MAPPING_TAG, line)
            return {
                key: self.build(value, (*where, key), depth + 1) for key, value in self._entries(node, where)
            }
        if isinstance(node, yaml.SequenceNode):
            self._expect(node, _SEQUENCE_TAG, line)
            return [
                self.build(item, self._at((*where, index), item), depth + 1)
                for index, item in enumerate(node.value)
            ]
        return self._scalar(node)

    def _entries(self, node: yaml.MappingNode, where: Where) -> Iterator[tuple[str, yaml.Node]]:
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigurationError(
                    f"{self.file}:{line}: a key is not a text; write 'key: value', quoted if need be"
                )
            inner = (*where, key.value)
            if inner in self.lines:
                self.repeated.append((inner, line, self.lines[inner]))
                continue
            self.lines[inner] = line
            yield key.value, value

    def _at(self, where: Where, node: yaml.Node) -> Where:
        self.lines[where] = node.start_mark.line + 1
        return where

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._scalars.construct_object(node)
        except (ValueError, OverflowError):
            return node.value  # looks like a number or date but is none: a text, which validation judges

    def _expect(self, node: yaml.Node, tag: str, line: int) -> None:
        if node.tag != tag:
            raise ConfigurationError(f"{self.file}:{line}: has the tag {node.tag!r}; write it without a tag")
