"""`df.llm` before `ollama_nb.frames` is imported: looking at it imports that.

So `%load_ext` brings it, and costs neither pandas nor the room that works on its frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.importing import when_imported

if TYPE_CHECKING:
    from types import ModuleType

NAME = "llm"


def announce() -> None:
    """Put `llm` onto frames and columns of pandas and polars, now or when they are imported."""
    when_imported("pandas", _announce_in)
    when_imported("polars", _announce_in)


def _announce_in(module: ModuleType) -> None:
    for kind in (module.DataFrame, module.Series):
        if NAME not in vars(kind):  # ours is there already, or somebody else's
            setattr(kind, NAME, _Announced())


class _Announced:
    """Stands for the accessor until it is looked at."""

    def __get__(self, frame: Any, kind: type) -> Any:
        _withdraw(kind)
        import ollama_nb.frames  # noqa: F401 - registers what is returned

        return getattr(kind if frame is None else frame, NAME)


def _withdraw(kind: type) -> None:
    """Take the announcement off the class that holds it: a subclass of it may be looked at."""
    for owner in kind.__mro__:
        if isinstance(vars(owner).get(NAME), _Announced):
            delattr(owner, NAME)
