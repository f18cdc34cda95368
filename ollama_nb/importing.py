"""Do something when a module is imported, without importing it.

For what belongs into pandas and polars once a notebook has them.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def when_imported(name: str, act: Callable[[ModuleType], object]) -> None:
    """Call `act` with a module: at once if it is imported, else as soon as it is.

    Parameters
    ----------
    name
        Of a top-level module.
    act
        Called once, after the module's own code has run and before its importer goes on. Asked
        for again with an equal `act`, nothing is added.
    """
    module = sys.modules.get(name)
    if module is not None:
        act(module)
    elif not any(isinstance(one, _Watcher) and one.watches(name, act) for one in sys.meta_path):
        sys.meta_path.insert(0, _Watcher(name, act))


class _Watcher:
    """A finder that finds nothing by itself: it adds an end to how a module is executed."""

    def __init__(self, name: str, act: Callable[[ModuleType], object]) -> None:
        self._name = name
        self._act = act

    def watches(self, name: str, act: Callable[[ModuleType], object]) -> bool:
        """Whether this is the one for a module and an act."""
        return (self._name, self._act) == (name, act)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders find, to be executed with our end."""
        if name != self._name or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)  # it may be installed later
            return spec
        self._add_end(spec.loader)
        return spec

    def _add_end(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_then_act(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)  # the loader stays with the module, as it was
            execute(module)
            self._act(module)

        loader.exec_module = execute_then_act
