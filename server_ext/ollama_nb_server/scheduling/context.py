"""Who asks, and how urgently: what a request carries from its handler to the engine."""

from __future__ import annotations

from dataclasses import dataclass

from ollama_nb_server.engine.messages import Priority


@dataclass(frozen=True, slots=True)
class RequestContext:
    """`user` is who logged in, "" where nobody has to; the more urgent is served first.

    At its `deadline` (seconds of the event loop's clock) a request ends, wherever it is.
    """

    user: str = ""
    priority: Priority = Priority.INTERACTIVE
    deadline: float | None = None


NOBODY = RequestContext()  # who asks from within
