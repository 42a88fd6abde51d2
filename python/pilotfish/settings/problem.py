"""What is wrong with a setting, as one line: where it was given, its value, what is wrong, what to do.

    pilotfish.yaml:7: monitor.pane_rows: got -1: is below 10; write 10 or more
    environment PILOTFISH_LISTEN: got 'here': has no port; write HOST:PORT, such as here:8001

Translates the errors of pydantic, which speak of types and validators, into the words of the person who wrote
the file.
"""

import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from pilotfish.settings.document import Where
from pilotfish.settings.root import Settings
from pilotfish.settings.secret import MASK, is_secret, mask
from pilotfish.settings.sources import PREFIX, Layers, Origin, show

MOST_SHOWN = 100
"""Problems of one configuration that are reported; a file of the wrong kind has thousands."""

_LONGEST_SHOWN = 80

_WORDS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "int_type": lambda _: "is not a whole number; write one without quotes",
    "int_from_float": lambda _: "is not a whole number; write one",
    "bool_type": lambda _: "is neither true nor false; write one of them",
    "float_type": lambda _: "is not a number; write one without quotes",
    "float_parsing": lambda _: "is not a number; write one, such as 0.2",
    "finite_number": lambda _: "is not a finite number; write one, such as 0.2",
    "string_type": lambda _: "is not a text; put it in quotes",
    "path_type": lambda _: "is not a path; write one, in quotes if need be",
    "string_too_short": lambda _: "is empty; write a text or leave the key out",
    "string_too_long": lambda c: f"is longer than {c['max_length']} characters; shorten it",
    "string_pattern_mismatch": lambda c: _pattern(c["pattern"]),
    "greater_than": lambda c: f"is not above {c['gt']}; write a larger value",
    "greater_than_equal": lambda c: f"is below {c['ge']}; write {c['ge']} or more",
    "less_than": lambda c: f"is not below {c['lt']}; write a smaller value",
    "less_than_equal": lambda c: f"is above {c['le']}; write {c['le']} or less",
    "literal_error": lambda c: f"is not known; write {c['expected']}",
    "too_long": lambda c: f"has more than {c['max_length']} entries; take some out",
    "too_short": lambda _: "is empty; write at least one entry",
    "dict_type": lambda _: "is not a mapping; write 'key: value' lines below it",
    "model_type": lambda _: "is not a mapping; write 'key: value' lines below it",
    "tuple_type": lambda _: "is not a list; write [a, b] or '- a' lines below it",
    "value_error": lambda c: str(c["error"]),
    "conflict": lambda c: str(c["what"]),
}


def problems(error: ValidationError, layers: Layers) -> list[tuple[int, str]]:
    """One line for each error, with the line number in the file to sort by (0 for those not from a file)."""
    items = error.errors(include_url=False)
    found = [_problem(item, layers) for item in items[:MOST_SHOWN]]
    if len(items) > MOST_SHOWN:
        found.append((sys.maxsize, f"and {len(items) - MOST_SHOWN} more problems; correct these first"))
    return found


def line(where: Where, layers: Layers, what: str, *, value: bool = True) -> tuple[int, str]:
    """One problem as a line, with its line number in the file."""
    place, origin = layers.origin(where)
    parts = []
    if origin is not None:
        parts.append(origin.text)
    if (origin is None or origin.kind == "file" or place != where) and (setting := show(where)):
        parts.append(setting)
    if value:
        parts.append(f"got {shown(where, layers.at(where))}")
    return (origin.line if origin else 0), ": ".join([*parts, what])


def _problem(item: Any, layers: Layers) -> tuple[int, str]:
    where: Where = tuple(item["loc"])
    context = item.get("ctx", {})
    if item["type"] == "extra_forbidden":
        return line(where, layers, _unknown(where, layers.origin(where)[1]), value=False)
    if item["type"] == "missing":
        return line(where, layers, _missing(where), value=False)
    if where and where[-1] == "[key]":
        return line(where[:-1], layers, f"the name {_key_words(item, context)}", value=False)
    words = _WORDS.get(item["type"])
    what = words(context) if words else f"{item['msg']}; see `pilotfish schema`"
    if item["type"] == "conflict" and layers.at(where) is None:
        return line(
            where, layers, what, value=False
        )  # a default that clashes, not something that was written
    return line(where, layers, what)


def _key_words(item: Any, context: dict[str, Any]) -> str:
    words = _WORDS.get(item["type"])
    return words(context) if words else str(item["msg"])


def _pattern(pattern: str) -> str:
    if pattern.startswith("^[a-z0-9_.-]"):
        return "is not a metadata key; write it in lower case, with letters, digits, '_', '-' and '.'"
    return "is not a name; write 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"


def _missing(where: Where) -> str:
    if where == ("versions",):
        return "missing; name a model server with --upstream HOST:PORT, or under versions in a file"
    description = str(_schema_at(where).get("description", "")).split(":")[0].rstrip(".")
    return (
        f"missing; add it ({description[:1].lower()}{description[1:]})" if description else "missing; add it"
    )


def _unknown(where: Where, origin: Origin | None) -> str:
    known = list(_schema_at(where[:-1]).get("properties", {}))
    close = get_close_matches(str(where[-1]), known, n=1, cutoff=0.6)
    if not close:
        return f"unknown key; known here: {', '.join(known)}" if known else "unknown key; take it out"
    if origin is not None and origin.kind == "environment":
        steps = [*map(str, where[:-1]), close[0]]
        return f"unknown key; did you mean {PREFIX}{'__'.join(steps).upper()}?"
    return f"unknown key; did you mean {close[0]!r}?"


def shown(where: Where, value: Any) -> str:
    """A value as a message shows it: short, and without secrets."""
    if any(is_secret(step) for step in where if isinstance(step, str)):
        return MASK
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(mask(value))
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    return Settings.model_json_schema()


def _schema_at(where: Where) -> dict[str, Any]:
    """The part of the schema that describes a place; empty when no schema does."""
    here = _schema()
    for step in where:
        here = _resolved(here)
        if isinstance(step, int):
            here = here.get("items", {})
        else:
            named = next(iter(here.get("patternProperties", {}).values()), None)  # a mapping of names
            here = here.get("properties", {}).get(step) or named or here.get("additionalProperties") or {}
        if not isinstance(here, dict):
            return {}
    return {**_resolved(here), **{key: here[key] for key in ("description",) if key in here}}


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    for option in part.get("anyOf", ()):
        if "$ref" in option:
            part = option
    if "$ref" in part:
        name = str(part["$ref"]).rpartition("/")[2]
        found = _schema()["$defs"][name]
        assert isinstance(found, dict)
        return found
    return part
