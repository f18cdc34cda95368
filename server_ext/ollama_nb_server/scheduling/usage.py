"""What a request has used of a model: one record each, however it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from ollama_nb_server.engine.client import Ending

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Usage:
    """Who used which model, and what was computed for it, in tokens."""

    user: str
    model: str
    ending: Ending


Account = Callable[[Usage], None]


def to_log(usage: Usage) -> None:
    """Write a record to the log, a line."""
    ending = usage.ending
    log.info(
        "%s: %d prompt tokens, %d generated, %s%s",
        usage.model,
        ending.prompt_count,
        ending.eval_count,
        ending.how.value,
        f", for {usage.user}" if usage.user else "",
    )
