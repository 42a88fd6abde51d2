"""What all tests share: the marks, and logging as it was."""

import logging
from collections.abc import Iterator

import pytest
import structlog


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "guarantee(id): proves this row of the planes' guarantees")


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Logging is as it was before, whatever the test configures."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()
