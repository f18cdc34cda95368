"""Threads of ours belong to the cell that started them: what they show finds its place below it.

Python's own threads begin with an empty context, and that is where ipykernel from version 7 on
keeps whose code runs: 7.0 fails in them, later versions take the cell that ran last.
"""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def thread_of_cell(
    target: Callable[[], object], name: str, *, daemon: bool = True
) -> threading.Thread:
    """Return a thread, not started yet, that runs `target` in the context of the caller."""
    context = contextvars.copy_context()
    return threading.Thread(target=context.run, args=(target,), name=name, daemon=daemon)
