"""One MLServer for the session; a sidecar of its own for every test that counts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import mlserver
from e2e.sidecar import Sidecar, before


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of MLServer with the wine model."""
    with mlserver.serving(tmp_path_factory.mktemp("mlserver")) as address:
        yield address


@pytest.fixture(scope="module")
def sidecar(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar before it, shared by the tests of a module."""
    with before(model, tmp_path_factory.mktemp("sidecar")) as started:
        yield started


@pytest.fixture
def fresh_sidecar(model: str, tmp_path: Path) -> Iterator[Sidecar]:
    """A sidecar before it that has seen nothing yet."""
    with before(model, tmp_path) as started:
        yield started
