"""The thread that attends to a worker's process: passes its log on, and sees it die.

What is said to it and by it afterwards is `process`'s affair.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ollama_nb_server.processes import Child

native_log = logging.getLogger("ollama_nb_server.engine.llama_cpp")

MODULE = "ollama_nb_server.engine.worker"


def attended(orders: bytes, died: Callable[[int], None]) -> Child:
    """Start a worker's process.

    Parameters
    ----------
    orders
        The line it reads first.
    died
        Called once, from the attending thread, with the exit code (negative: a signal's number).
    """
    child = Child(MODULE, orders=orders, own_session=True)

    def attend() -> None:
        for line in child.lines():
            native_log.debug("%s", line)
        died(child.wait())

    threading.Thread(target=attend, daemon=True).start()
    return child
