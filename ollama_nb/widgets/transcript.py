"""The text of a conversation as a saved notebook keeps it.

Rendering only; `chat` says when, `display` how often.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama_nb.asking.chatting import Turn


def bundle(turns: Sequence[Turn], question: str = "", answer: str = "") -> dict[str, str]:
    """Render the turns, and the one that is going on, as Jupyter's markdown and plain text."""
    pairs = [(turn.question, turn.answer.model, _said(turn)) for turn in turns]
    pairs += [(question, "", answer)] if question else []
    return {
        "text/markdown": "\n\n---\n\n".join(_markdown(*pair) for pair in pairs),
        "text/plain": "\n\n".join(_plain(*pair) for pair in pairs),
    }


def _said(turn: Turn) -> str:
    """Return the answer, and below it what the reader should know, such as that it was cut."""
    stopped = turn.answer.done_reason == "interrupted"
    text = f"{turn.answer.text} *(stopped)*" if stopped else turn.answer.text
    return "\n\n".join([text, *(f"*({warning})*" for warning in turn.answer.warnings)])


def _markdown(question: str, model: str, answer: str) -> str:
    return f"{_quoted(question)}\n\n{answer}"


def _quoted(question: str) -> str:
    """Quote the question as plain text: in a fence that is longer than any run in it.

    Pasted code, HTML and formulas stay what they are; as markdown they would be rendered.
    """
    longest = max(map(len, re.findall(r"`+", question)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = [f"{fence}text", *question.splitlines(), fence]
    return "\n".join(f"> {line}" for line in lines)


def _plain(question: str, model: str, answer: str) -> str:
    return f"You: {question}\n{model or 'Model'}: {answer}"
