"""Where templates run: on threads of their own, the slow ones apart from the others.

Templates come from strangers, and a run may take seconds before its limits end it; nobody else's
prompt is to wait for that.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ollama_nb_server.prompts.errors import PromptError

Made = TypeVar("Made")

SLOW_S = 0.3  # of the processor; an ordinary template takes some milliseconds
MAX_KNOWN = 512  # templates remembered as slow


class TemplateExecutor:
    """Runs the work of templates; a template that was slow once waits among its like."""

    def __init__(self) -> None:
        self._fast = ThreadPoolExecutor(4, thread_name_prefix="templates")
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="slow-templates")
        self._known: OrderedDict[int, None] = OrderedDict()

    async def run(self, template: str, work: Callable[[], Made], *, apart: bool = False) -> Made:
        """Do what a template is needed for.

        Parameters
        ----------
        template
            Its text, or whatever tells it from others.
        apart
            Among the slow ones whatever it is, for it comes with a request and has no past.
        """
        key = hash(template)
        lane = self._slow if apart or key in self._known else self._fast
        made, took_s = await asyncio.get_running_loop().run_in_executor(lane, _timed, work)
        if took_s > SLOW_S:
            self._remember(key)
        if isinstance(made, PromptError):
            raise made
        return made

    def close(self) -> None:
        """Drop what waits; what runs meets its own limits."""
        self._fast.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)

    def _remember(self, key: int) -> None:
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


def _timed(work: Callable[[], Made]) -> tuple[Made | PromptError, float]:
    """What the work makes, or how it fails, and the processor's seconds."""
    began = time.thread_time()
    try:
        made: Made | PromptError = work()
    except PromptError as error:
        made = error
    return made, time.thread_time() - began
