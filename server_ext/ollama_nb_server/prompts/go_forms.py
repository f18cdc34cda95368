"""How a conversation is laid out for a Go template: merged, or walked exchange by exchange.

Sources: reference/ollama-models.md 5.3 (collation), 5.4 (the old style). Values and templates are
`go_values`' and `go`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ollama_nb_server.prompts.conversation import Turn


def collated(turns: Sequence[Turn]) -> tuple[str, list[Turn]]:
    """All system texts together, and the turns with neighbours of one role merged.

    Answers of tools stay apart. A merged turn keeps what came with its first one: images, thinking,
    tool calls.
    """
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role != "tool":
            merged[-1] = replace(merged[-1], content=f"{merged[-1].content}\n\n{turn.content}")
        else:
            merged.append(turn)
    return system, merged


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one run of an old-style template writes down."""

    system: str = ""
    prompt: str = ""
    response: str = ""


def exchanges(turns: Sequence[Turn]) -> tuple[list[Exchange], Exchange]:
    """The exchanges of a conversation that are over, and the one that the model is to end.

    Parameters
    ----------
    turns
        Collated. A tool's answers are left out, as such a template has no place for them.

    Examples
    --------
    >>> exchanges([Turn("user", "One?"), Turn("assistant", "1."), Turn("user", "Two?")])[1]
    Exchange(system='', prompt='Two?', response='')
    """
    over: list[Exchange] = []
    now = Exchange()
    for turn in turns:
        if turn.role == "system":
            if now.prompt or now.response:
                over.append(now)
                now = Exchange()
            now = replace(now, system=turn.content)
        elif turn.role == "user":
            if now.response:
                over.append(now)
                now = Exchange()
            now = replace(now, prompt=turn.content)
        elif turn.role == "assistant":
            now = replace(now, response=turn.content)
    return over, now
