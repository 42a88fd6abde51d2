"""What all tests share: the marks."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "guarantee(id): proves this row of the planes' guarantees")
