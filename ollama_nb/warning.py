"""Warn whoever runs a cell, in one line, once a cell.

Python's own way shows a line of our source below each warning, and the same words only once.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

SHOWN_AS = "ollama_nb"  # where a file's name stands; it has no source line to be shown
_seen: dict[Any, Any] = {}
_cell: object = None


def warn(sentence: str, kind: type[Warning]) -> None:
    """Show a warning, the same one once a cell; Python's filters hold for it as for any."""
    global _cell
    if _cell != (cell := _running_cell()):
        _seen.clear()
        _cell = cell
    warnings.warn_explicit(sentence, kind, SHOWN_AS, 0, module="ollama_nb", registry=_seen)


def _running_cell() -> object:
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return None if shell is None else shell.execution_count
