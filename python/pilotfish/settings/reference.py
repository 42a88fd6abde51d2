"""The configuration reference, made from the schema.

    python -m pilotfish.settings.reference > docs/configuration.md

Written by hand it would be wrong after the first change; a test holds the file to what this prints.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pilotfish.settings.root import Settings
from pilotfish.settings.sources import FLAGS, PREFIX, SHORT, show
from pilotfish.settings.units import show_seconds, show_size

Part: TypeAlias = Mapping[str, Any]

_HEAD = """\
# Configuration

<!-- Written by `python -m pilotfish.settings.reference > docs/configuration.md`; do not edit. -->

pilotfish needs no configuration file: `pilotfish run --upstream HOST:PORT` is enough. Settings come from
these places, and the first one wins:

1. flags: `--listen 0.0.0.0:9000` (`pilotfish run --help`);
2. environment variables: `{prefix}` and the path of the setting in capitals, its steps joined by `__`:
   `PILOTFISH_LISTEN=0.0.0.0:9000` or `PILOTFISH_MONITOR__PANE_ROWS=100`; lists and mappings in YAML;
   `PILOTFISH_CONFIG` names the file;
3. one YAML file: `pilotfish run --config pilotfish.yaml`;
4. the defaults below.

`pilotfish check pilotfish.yaml` prints what would be in force; or every problem with its line, exit code 2.
`pilotfish schema` prints the JSON Schema for editors. Paths in the file are relative to the file.
Credentials do not belong here: exporters read theirs from `OTEL_EXPORTER_OTLP_HEADERS`.

Durations are written `250ms`, `2s`, `1m` or as a number of seconds; sizes `64KiB`, `8MiB` or as a number of
bytes; shares in parts per million (`ppm`): 10000 is 1 %.
A file with everything in it: [deploy/pilotfish.yaml](../deploy/pilotfish.yaml).

| flag of `run` | setting |
|---|---|
"""

_LEARN_ONLY = frozenset({"calls"})


def reference() -> str:
    """The whole page, Markdown."""
    return "".join(_page())


def _page() -> Iterator[str]:
    schema = Settings.model_json_schema()
    yield _HEAD.format(prefix=PREFIX)
    for flag in SHORT:
        yield f"| `--{flag}` | `versions.NAME.{flag}` of the only version |\n"
    for flag, where in FLAGS.items():
        if flag not in _LEARN_ONLY:
            yield f"| `--{flag}` | `{show(where)}` |\n"
    for path, part in _sections(schema, schema, ""):
        yield from _section(path, part, schema)


def _sections(schema: Part, part: Part, path: str) -> Iterator[tuple[str, Part]]:
    """Every mapping with keys of its own, outer ones first, in the order of the file."""
    yield path, part
    for name, child in part["properties"].items():
        inner = f"{path}.{name}" if path else name
        found, suffix = _section_in(child, schema)
        if found is not None:
            yield from _sections(schema, found, inner + suffix)


def _section_in(child: Part, schema: Part) -> tuple[Part | None, str]:
    """The section a setting holds, if it does, and how its place is written below the setting's."""
    for option in (child, *child.get("anyOf", ())):
        if "$ref" in option:
            return schema["$defs"][option["$ref"].rpartition("/")[2]], ""
        if "$ref" in option.get("items", {}):
            return _section_in(option["items"], schema)[0], "[]"
        if "$ref" in (names := option.get("additionalProperties") or {}):
            return _section_in(names, schema)[0], ".NAME"
        for pattern in option.get("patternProperties", {}).values():
            if "$ref" in pattern:
                return _section_in(pattern, schema)[0], ".NAME"
    return None, ""


def _section(path: str, part: Part, schema: Part) -> Iterator[str]:
    yield f"\n## {'`' + path + '`' if path else 'Top level'}\n\n"
    if path:
        yield f"{_one_line(part.get('description', ''))}\n\n"
    yield "| key | value | default | meaning |\n|---|---|---|---|\n"
    required = part.get("required", ())
    for name, child in part["properties"].items():
        default = "**required**" if name in required else _default(child, schema)
        yield f"| `{name}` | {_kind(child, schema)} | {default} | {_meaning(child, schema)} |\n"


def _meaning(child: Part, schema: Part) -> str:
    section = _section_in(child, schema)[0] or {}
    return _one_line(child.get("description") or section.get("description", ""))


def _default(child: Part, schema: Part) -> str:
    value: Any = child.get("default")
    kind = _kind(child, schema)
    if value in ([], {}, ""):
        return "empty"
    if isinstance(value, dict):
        return "see below"
    if kind == "duration":
        return f"`{show_seconds(value)}`"
    if kind == "size":
        return f"`{show_size(value)}`"
    return f"`{json.dumps(value)}`".replace('"', "")


def _kind(child: Part, schema: Part) -> str:
    options = child.get("anyOf")
    if options is not None:
        if {"pattern", "type"} <= set(options[0]):
            return "duration" if options[1]["type"] == "number" else "size"
        kinds = [_kind(option, schema) for option in options]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in child:
        return ", ".join(f"`{value}`" for value in child["enum"])
    if _section_in(child, schema)[0] is not None:
        return {"array": "list of sections", "object": "sections by name"}.get(
            child.get("type", ""), "section"
        )
    return _plain_kind(child, schema)


def _plain_kind(child: Part, schema: Part) -> str:
    match child.get("type"):
        case "array":
            return f"list of {_kind(child.get('items', {}), schema)}"
        case "object":
            return "texts by name"
        case "integer":
            return f"whole number{_range(child)}"
        case "number":
            return f"number{_range(child)}"
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "`null`"
    return "path" if child.get("format") == "path" else "text"


def _range(child: Part) -> str:
    low, high = child.get("minimum"), child.get("maximum")
    above = child.get("exclusiveMinimum")
    if low is not None and high is not None:
        return f" {low:g} to {high:g}" if high < 1e6 else f" {low} to {high}"
    if above is not None and high is not None:
        return f" above {above:g}, to {high:g}"
    return f" from {low:g}" if low is not None else ""


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
