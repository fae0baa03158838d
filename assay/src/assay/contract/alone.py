"""Pandera alone: for frames of other kinds it imports pandas, and what makes up data, wherever they are installed.

That is a third of the time in which code loads. Whoever imports Pandera's part for pandas, or asks Pandera for one of its
names, has from then on what Pandera imports by itself. In the same way Ibis imports the SQL of one engine, not of twenty.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

OTHERS = ("pandas", "hypothesis", "pyspark")
NEEDED = ("pandera.ibis", "pandera.backends.ibis.builtin_checks")
COMPILERS = "ibis.backends.sql.compilers"
DOORS = ("pandera.pandas", "pandera._pandas_deprecated", "pandera.typing.pandas", "pandera.api.pandas")


class _Named(type):
    """A type that stands for whatever of pandas an annotation names."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return cls


class _Later(ModuleType):
    """Stands for pandas where annotations alone ask for it while Pandera is imported; for more it imports pandas."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            return _Named(name, (), {})
        return getattr(importlib.import_module(self.__name__), name)


class _Alone(MetaPathFinder, Loader):
    """Finds Pandera, and while that is imported nothing of `OTHERS`; what is imported already stays."""

    def __init__(self) -> None:
        self.found: ModuleSpec | None = None
        self.hides = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if self.hides and name in OTHERS:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)  # Pandera reads these words
        if name in DOORS and not self.hides:
            self.whole()
        if name != "pandera" or self.found is not None or "pandas" in sys.modules:
            return None
        self.found = PathFinder.find_spec(name, path)
        return _loaded_by(self, self.found)

    def exec_module(self, module: ModuleType) -> None:
        assert self.found is not None
        assert self.found.loader is not None
        self.hides = True
        try:
            self.found.loader.exec_module(module)
            sys.modules["pandas"] = _Later("pandas")
            importlib.import_module("pandera.engines.utils")
            del sys.modules["pandas"]
            for name in NEEDED:
                importlib.import_module(name)
        finally:
            self.hides = False
        module.__spec__, module.__loader__ = self.found, self.found.loader  # for whoever reads its source or data
        for each in (module, sys.modules["pandera.typing"]):
            vars(each)["__getattr__"] = self._asked(each.__name__)

    def whole(self) -> None:
        """Import what was left out, in the way in which Pandera does it."""
        if self not in sys.meta_path:
            return
        sys.meta_path.remove(self)
        if "pandera.typing" not in sys.modules:
            return
        with suppress(ImportError):
            made_up: Any = sys.modules["pandera.strategies.base_strategies"]
            strategies = importlib.import_module("hypothesis.strategies")
            made_up.SearchStrategy, made_up.composite = strategies.SearchStrategy, strategies.composite
            made_up.HAS_HYPOTHESIS = True
        sys.modules.pop("pandera.engines.type_aliases", None)
        for name in ("pandera.typing", "pandera"):
            vars(sys.modules[name]).pop("__getattr__", None)
            importlib.reload(sys.modules[name])

    def _asked(self, module: str) -> Any:
        def ask(name: str) -> Any:
            if (
                not name.startswith("_")
                and PathFinder.find_spec(f"{module}.{name}", sys.modules[module].__path__) is None
            ):
                self.whole()
                if name in vars(sys.modules[module]):
                    return vars(sys.modules[module])[name]
            raise AttributeError(f"module '{module}' has no attribute '{name}'")

        return ask


class _OneByOne(MetaPathFinder, Loader):
    """Finds the package of Ibis's compilers, and runs its file, which imports all of them, where one module is not enough."""

    def __init__(self) -> None:
        self.found: ModuleSpec | None = None

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != COMPILERS:
            return None
        sys.meta_path.remove(self)
        self.found = PathFinder.find_spec(name, path)
        return _loaded_by(self, self.found)

    def exec_module(self, module: ModuleType) -> None:
        assert self.found is not None
        assert self.found.loader is not None
        load = self.found.loader.exec_module
        module.__spec__, module.__loader__ = self.found, self.found.loader

        def ask(name: str) -> Any:
            if PathFinder.find_spec(f"{COMPILERS}.{name}", module.__path__) is not None:
                return importlib.import_module(f"{COMPILERS}.{name}")
            if name == "__all__" or not name.startswith("__"):
                vars(module).pop("__getattr__", None)
                load(module)
                if name in vars(module):
                    return vars(module)[name]
            raise AttributeError(f"module '{COMPILERS}' has no attribute '{name}'")

        vars(module)["__getattr__"] = ask


def _loaded_by(loader: Any, found: ModuleSpec | None) -> ModuleSpec | None:
    """The same package, run by `loader`."""
    if found is None or found.origin is None:
        return found
    spec = ModuleSpec(found.name, loader, origin=found.origin, is_package=True)
    spec.submodule_search_locations = found.submodule_search_locations
    spec.has_location = True
    return spec


def alone() -> None:
    """Let Pandera be imported alone, and Ibis's compilers one by one, unless they are imported already."""
    if "pandera" not in sys.modules:
        sys.meta_path.insert(0, _Alone())
    if COMPILERS not in sys.modules:
        sys.meta_path.insert(0, _OneByOne())
