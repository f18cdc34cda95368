"""What was said in a chat, as the page shows it and as a saved notebook keeps it.

Rendering only; `chat` says when, `copies` where to.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_nb.answers.markdown import closed
from ollama_nb.answers.rendering import (
    in_block,
    joined,
    nothing,
    of_markdown,
    of_note,
    of_text,
    of_thoughts,
)

if TYPE_CHECKING:
    from ollama_nb.answers.generation import Generation
    from ollama_nb.answers.rendering import Bundle

GONE = "The kernel that held this conversation is gone; run the cell to talk again."
SAVED = "ollama-nb-saved"  # the class by which a page with the living chat hides its copy
# Lab has no other place to say that a widget is of a kernel that is gone; GONE stands above it.
HIDES_ITS_ERROR = (
    f"<style>.jp-OutputArea-child:has(.{SAVED}) + .jp-OutputArea-child:has("
    "> .jp-OutputArea-output.jupyter-widgets) { display: none; }</style>"
)
STOPPED = "stopped"
BROKE_OFF = "broke off"
NOTHING_CAME = "stopped before the first word"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and what came of it."""

    question: str
    model: str
    text: str = ""
    thinking: str = ""
    notes: tuple[str, ...] = ()  # below the answer: that it was stopped or cut, what is warned of
    error: str = ""

    @classmethod
    def over(cls, question: str, model: str, answer: Generation | None, error: str) -> Exchange:
        """Return one that is over; `answer` is what there is of one."""
        if answer is None:
            return cls(question, model, error=error)
        notes = (*_how_it_ended(answer), *answer.warnings)
        return cls(question, answer.model, answer.text, answer.thinking, notes, error)

    def html(self) -> str:
        """Return the answer as a page may show it."""
        return self._said()["text/html"]

    def copy(self) -> Bundle:
        """Return question and answer as a saved notebook keeps them."""
        asked = html.escape(self.question)
        question = f'<blockquote><pre style="white-space: pre-wrap">{asked}</pre></blockquote>'
        said = self._said()
        return {
            "text/html": f'<div class="{SAVED}">\n{question}\n{said["text/html"]}</div>',
            "text/markdown": f"{quoted(self.question)}\n\n{said['text/markdown']}",
            "text/plain": f"You: {self.question}\n{self.model}: {said['text/plain']}",
        }

    def _said(self) -> Bundle:
        failure = of_text(self.error, "strong") if self.error else nothing()
        text = of_markdown(closed(self.text), self.text)
        return joined(of_thoughts(self.thinking), text, *map(of_note, self.notes), failure)


def _how_it_ended(answer: Generation) -> list[str]:
    if answer.done_reason == "interrupted":
        return [STOPPED if answer.text or answer.thinking else NOTHING_CAME]
    return [BROKE_OFF] if answer.done_reason == "error" and answer.text else []


def heading() -> Bundle:
    """Return what stands above the copy of a chat: a page with the living chat does not show it."""
    html_ = f'<div class="{SAVED}">{HIDES_ITS_ERROR}<p><em>{GONE}</em></p></div>'
    return {"text/html": html_, "text/markdown": f"*{GONE}*", "text/plain": GONE}


def forgotten() -> dict[str, Any]:
    """Return what takes the place of a copy that was to be forgotten."""
    return {"text/html": f'<div class="{SAVED}"></div>', "text/markdown": "", "text/plain": ""}


def quoted(question: str) -> str:
    """Quote a text as plain text: in a block of code, which ends where it does.

    Pasted code, HTML and formulas stay what they are; as markdown they would be rendered.
    """
    return re.sub("^", "> ", in_block(question, "text"), flags=re.MULTILINE)
