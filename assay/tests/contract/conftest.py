"""A fresh in-memory database in UTC."""

from __future__ import annotations

import pytest

from tests.contract.support import connect


@pytest.fixture
def connection():
    with connect() as opened:
        yield opened
