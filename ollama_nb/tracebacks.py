"""Tracebacks of the caller's own frames: whose fault it is, and not how we found out."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = str(Path(__file__).parent)


def of_the_caller(error: BaseException) -> list[str]:
    """Return what IPython shows of an error, up to the call that went into this package.

    The causes, which are errors of what we are built on, are not shown; `__cause__` keeps them.
    """
    cause, is_suppressed = error.__cause__, error.__suppress_context__
    try:
        error.__cause__ = None  # suppresses the context, too
        shell: Any = sys.modules["IPython"].get_ipython()
        lines: list[str] = shell.InteractiveTB.structured_traceback(
            type(error), error, before_us(error.__traceback__)
        )
        return lines
    finally:
        error.__cause__, error.__suppress_context__ = cause, is_suppressed


def before_us(traceback: TracebackType | None) -> TracebackType | None:
    """Return a copy that ends where a frame of this package begins."""
    if traceback is None or traceback.tb_frame.f_code.co_filename.startswith(HERE):
        return None
    return TracebackType(
        before_us(traceback.tb_next),
        traceback.tb_frame,
        traceback.tb_lasti,
        traceback.tb_lineno,
    )
