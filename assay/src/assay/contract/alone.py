"""Code loads without what only runs ask: pandas, Hypothesis, NumPy, SQLGlot and DuckDB.

Pandera imports the first three for frames of other kinds and to name their types, Ibis imports SQLGlot for two functions, and
DuckDB is named by whatever will run it. That is half of the time in which code loads. Whoever imports one of them, asks
Pandera for its part for pandas, Ibis for those functions or DuckDB for anything has what there would be without this.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

OTHERS = ("pandas", "hypothesis", "pyspark")
NEEDED = ("pandera.ibis", "pandera.backends.ibis.builtin_checks")
COMPILERS = "ibis.backends.sql.compilers"
"""A package that imports those for twenty engines."""
DOORS = ("pandera.pandas", "pandera._pandas_deprecated", "pandera.typing.pandas", "pandera.api.pandas")


class _Named(type):
    """A type that stands for whatever an annotation or a table of types names."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return cls


class _Stand(ModuleType):
    """Stands for a module that another one asks for names while it is imported; for more it imports the module."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            return _Named(name, (), {})
        return getattr(importlib.import_module(self.__name__), name)


class _Functions(ModuleType):
    """Stands for a module of functions; each imports it when it is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *values, **named: getattr(importlib.import_module(self.__name__), name)(*values, **named)


class _Later(ModuleType):
    """A module that is executed when it is asked for something."""

    def __getattr__(self, name: str) -> Any:
        execute(self)
        return vars(self)[name] if name in vars(self) else ModuleType.__getattribute__(self, name)


class _OneByOne(_Later):
    """A package that is executed when it is asked for something else than one of its modules."""

    def __getattr__(self, name: str) -> Any:
        whole = f"{self.__name__}.{name}"
        if "__later__" in vars(self) and PathFinder.find_spec(whole, self.__path__) is not None:
            return importlib.import_module(whole)
        return super().__getattr__(name)


def execute(module: ModuleType) -> None:
    """Execute a module that waits for it, under the lock of its import, as an import would."""
    bootstrap: Any = importlib._bootstrap  # the locks that see a circle of threads
    with suppress(bootstrap._DeadlockError), bootstrap._ModuleLockManager(module.__name__):
        if isinstance(module, _Later) and "__later__" in vars(module):
            load = vars(module).pop("__later__")
            try:
                load(module)
            except BaseException:
                vars(module)["__later__"] = load
                raise
            module.__class__ = ModuleType  # type: ignore[assignment]  # it is a module like any other now


class _Within(Loader):
    """Loads a module as its own loader does, within something else."""

    def __init__(self, loader: Any, within: Callable[[Any, ModuleType], None]) -> None:
        self.loader, self.within = loader, within

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self.loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader  # for whoever reads its source or data
        self.within(self.loader, module)


class _There(Loader):
    """Gives a module that was imported while its own package was executed."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class _Alone(MetaPathFinder):
    """Finds these modules, and while Pandera is imported nothing of `OTHERS`; what is imported already stays."""

    def __init__(self) -> None:
        self.hides = False
        self.within = {"ibis": _ibis, "duckdb": _later, COMPILERS: _one_by_one}
        if "pandas" not in sys.modules:
            self.within["pandera"] = self._pandera

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if self.hides and name in OTHERS:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)  # Pandera reads these words
        if name in DOORS and not self.hides:
            self.whole()
        package = sys.modules.get(name.partition(".")[0])
        if isinstance(package, _Later) and "__later__" in vars(package):
            execute(package)
            if name in sys.modules:
                return ModuleSpec(name, _There(sys.modules[name]))
        within = None if name in sys.modules else self.within.pop(name, None)
        found = PathFinder.find_spec(name, path) if within else None
        if found is None or found.loader is None or within is None:
            return found
        found.loader = _Within(found.loader, within)
        return found

    def _pandera(self, loader: Any, module: ModuleType) -> None:
        importlib.import_module("ibis")
        numbers = ("numpy", "pandera.engines.numpy_engine") if "numpy" not in sys.modules else ()
        self.hides = True
        try:
            with _standing(*numbers):
                loader.exec_module(module)
                with _standing("pandas"):
                    importlib.import_module("pandera.engines.utils")
                for name in NEEDED:
                    importlib.import_module(name)
        finally:
            self.hides = False
        if numbers:
            self.within |= dict(zip(numbers, (_numpy, _numpy_engine), strict=True))
        for each in (module, sys.modules["pandera.typing"]):
            vars(each)["__getattr__"] = self._asked(each.__name__)

    def whole(self) -> None:
        """Import what was left out, in the way in which Pandera does it."""
        if "pandera.typing" not in sys.modules or "__getattr__" not in vars(sys.modules["pandera"]):
            self.within.pop("pandera", None)
            return
        for name in ("pandera.typing", "pandera"):
            vars(sys.modules[name]).pop("__getattr__", None)
        with suppress(ImportError):
            made_up: Any = sys.modules["pandera.strategies.base_strategies"]
            strategies = importlib.import_module("hypothesis.strategies")
            made_up.SearchStrategy, made_up.composite = strategies.SearchStrategy, strategies.composite
            made_up.HAS_HYPOTHESIS = True
        sys.modules.pop("pandera.engines.type_aliases", None)
        for name in ("pandera.typing", "pandera"):
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


@contextmanager
def _standing(*names: str, kind: type[ModuleType] = _Stand) -> Iterator[None]:
    stands = {name: kind(name) for name in names if name not in sys.modules}
    sys.modules.update(stands)
    try:
        yield
    finally:
        for name in stands:
            del sys.modules[name]


def _ibis(loader: Any, module: ModuleType) -> None:
    with _standing("ibis.expr.sql", kind=_Functions):
        loader.exec_module(module)


def _later(loader: Any, module: ModuleType) -> None:
    vars(module)["__later__"] = loader.exec_module
    module.__class__ = _Later


def _one_by_one(loader: Any, module: ModuleType) -> None:
    vars(module)["__later__"] = loader.exec_module
    module.__class__ = _OneByOne


def _numpy(loader: Any, module: ModuleType) -> None:
    vars(module)["__later__"] = partial(_with_types, loader)
    module.__class__ = _Later


def _with_types(loader: Any, module: ModuleType) -> None:
    """Execute NumPy, and tell Pandera which types it named."""
    loader.exec_module(module)
    engine: Any = sys.modules["pandera.engines.ibis_engine"]
    types = engine.Engine._registry[engine.Engine].equivalents
    types |= {getattr(module, name.__name__): held for name, held in types.items() if isinstance(name, _Named)}


def _numpy_engine(loader: Any, module: ModuleType) -> None:
    loader.exec_module(module)
    engine: Any = sys.modules["pandera.engines.ibis_engine"]
    engine.numpy_engine = module
    engine.Engine._base_pandera_dtypes = (engine.DataType, vars(module)["DataType"])


def alone() -> None:
    """Let code load so, but for what is imported already."""
    if "pandera" not in sys.modules:
        sys.meta_path.insert(0, _Alone())
