"""A warehouse of its own for every test that asks for one, and a channel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.health.channel import Channel
from tests.little import Little
from tests.warehouse.conftest import house

__all__ = ["channel", "house"]


@pytest.fixture
def channel() -> Iterator[Channel]:
    channel = Channel()
    yield channel
    channel.server.shutdown()
    channel.server.server_close()


@pytest.fixture
def little(tmp_path: Path) -> Little:
    little = Little(tmp_path)
    little.table("numbers")
    return little
