"""The interceptors a configuration names: ordinary ``grpc.aio.ServerInterceptor`` classes.

They run before pilotfish decides anything: a call they refuse reaches no upstream and no statistics.
"""

import importlib
from collections.abc import Iterable

from grpc import aio

from pilotfish.errors import ConfigurationError


def load(names: Iterable[str]) -> list[aio.ServerInterceptor]:
    """Make one of each (``package.module:Class``), in order. Raises ConfigurationError."""
    return [_load(name) for name in names]


def _load(name: str) -> aio.ServerInterceptor:
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as exc:  # importing runs the user's code: anything can come out of it
        raise ConfigurationError(
            f"interceptors: {name}: cannot import {module_name}: {exc!r}; install it, or correct the name"
        ) from exc
    found = getattr(module, class_name, None)
    if found is None:
        raise ConfigurationError(
            f"interceptors: {name}: {module_name} has no {class_name}; write package.module:Class"
        )
    if not (isinstance(found, type) and issubclass(found, aio.ServerInterceptor)):
        raise ConfigurationError(
            f"interceptors: {name}: {class_name} is no grpc.aio.ServerInterceptor; name one"
        )
    try:
        return found()
    except Exception as exc:  # the user's constructor
        raise ConfigurationError(
            f"interceptors: {name}: cannot be made: {exc!r}; it must take no arguments"
        ) from exc
