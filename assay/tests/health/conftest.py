"""A warehouse of its own for every test that asks for one."""

from tests.warehouse.conftest import house

__all__ = ["house"]
