"""Which of a family's renderers a model means that names only the family.

Gemma 4's models differ by their size; Ollama finds it out anew with each request.
"""

from __future__ import annotations

SMALL, LARGE = ("e2b", "e4b"), ("12b", "26b", "31b")  # in names, as the models were published
LARGE_PARAMETERS = 12e9
UNITS = {"B": 1e9, "M": 1e6, "K": 1e3}


def renderer_of_size(renderer: str, names: tuple[str, ...], size: str) -> str:
    """The renderer that a config's name stands for; most stand for themselves.

    Parameters
    ----------
    names
        The model's, the one that tells most first.
    size
        The number of its parameters, as the config has it.

    Examples
    --------
    >>> renderer_of_size("gemma4", ("gemma4:31b",), "")
    'gemma4-large'
    >>> renderer_of_size("gemma4", ("mine",), "11.9B")
    'gemma4-small'
    """
    if renderer != "gemma4":
        return renderer
    for name in map(str.lower, names):
        if any(mark in name for mark in SMALL):
            return "gemma4-small"
        if any(mark in name for mark in LARGE):
            return "gemma4-large"
    return "gemma4-large" if _num_parameters(size) >= LARGE_PARAMETERS else "gemma4-small"


def _num_parameters(size: str) -> float:
    try:
        return float(size[:-1]) * UNITS.get(size[-1:].upper(), 0)
    except ValueError:
        return 0
