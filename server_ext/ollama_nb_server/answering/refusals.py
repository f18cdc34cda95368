"""What a request may ask for and does not get: wrong values, missing abilities, parts to come."""

from __future__ import annotations

from collections.abc import Sequence

from ollama_nb_server.library.model import Model
from ollama_nb_server.wire.errors import (
    NoSuchToken,
    ThinkBudgetConflict,
    ThinkUnsupported,
)


def refuse_thinking(model: Model, asked: str | None, think: bool | str | None) -> None:
    """A truthy `think` needs a model that thinks."""
    if think and "thinking" not in model.capabilities:
        raise ThinkUnsupported(asked or "")


def refuse_budget(
    model: Model, asked: str | None, think: bool | str | None, budget: int | None
) -> None:
    """A budget of thoughts needs a model that thinks, and leave to do so."""
    if budget is None:
        return
    if "thinking" not in model.capabilities:
        raise ThinkUnsupported(asked or "")
    if think is False:
        raise ThinkBudgetConflict(
            "think_budget limits what think: false switches off: give one of them"
        )


def refuse_context(context: Sequence[int], num_vocab: int) -> None:
    """A context goes on from tokens of the same model."""
    for token in (min(context), max(context)):
        if not 0 <= token < num_vocab:
            raise NoSuchToken(token, num_vocab)
