"""A fresh in-memory database in UTC."""

from __future__ import annotations

import pytest

from tests.memory import connected


@pytest.fixture
def connection():
    with connected() as opened:
        yield opened
