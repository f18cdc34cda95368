"""From a request's headers to its context: who asks, how urgently, and for how long it is worth it.

What the context means where something waits is `scheduling`'s affair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ollama_nb_server.engine.messages import Priority
from ollama_nb_server.scheduling.context import Caller, RequestContext
from ollama_nb_server.wire.errors import BadPriority, BadTimeout

PRIORITY_HEADER, TIMEOUT_HEADER = "X-Ollama-Nb-Priority", "X-Ollama-Nb-Timeout"
RESUME_HEADER = "X-Ollama-Nb-Resume"
PRIORITIES = {priority.name.lower(): priority for priority in Priority}


def context_of(headers: Mapping[str, str], caller: Caller, now: float, verb: str) -> RequestContext:
    """The context of a request for `verb` that came at `now`.

    Raises
    ------
    BadPriority, BadTimeout
        If a header says something else than it may.
    """
    may_resume = headers.get(RESUME_HEADER, "") == "1"
    return RequestContext(caller, _priority(headers), _deadline(headers, now), verb, may_resume)


def _priority(headers: Mapping[str, str]) -> Priority:
    name = headers.get(PRIORITY_HEADER, Priority.INTERACTIVE.name)
    priority = PRIORITIES.get(name.strip().lower())
    if priority is None:
        raise BadPriority(PRIORITY_HEADER, name)
    return priority


def _deadline(headers: Mapping[str, str], now: float) -> float | None:
    text = headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise BadTimeout(TIMEOUT_HEADER, text)
    return now + seconds
