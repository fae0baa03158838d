"""What the tests of this folder share."""

from tests.scaffold.started import load

__all__ = ["load"]
