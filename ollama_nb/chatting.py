"""`chat()` and `Conversation`: messages in, an answer out, with or without memory.

How a call runs is in `asking`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_nb.asking import ask
from ollama_nb.catalogue import default_model
from ollama_nb.display import screen
from ollama_nb.errors import Interrupted, NotText
from ollama_nb.generating import merged
from ollama_nb.request import Request
from ollama_nb.schemas import wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ollama_nb.answers import Generation
    from ollama_nb.schemas import Schema

    Message = Mapping[str, Any]


def chat(
    messages: str | Iterable[str | Message],
    *,
    model: str | None = None,
    system: str | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    options: Mapping[str, Any] | None = None,
    schema: Any = None,
    format: Mapping[str, Any] | str | None = None,
    keep_alive: float | str | None = None,
    show: bool = False,
) -> Generation:
    """Send messages to a model and return its answer. Nothing is remembered between calls.

    Parameters
    ----------
    messages
        One text, or a list of messages `{"role": ..., "content": ...}`; a text in the list is a
        message of the user.
    model, system, temperature, seed, options, schema, format, keep_alive, show
        As for `generate()`; `system` goes in front of the messages.

    Returns
    -------
    Generation
        Its `.messages` are the conversation with the answer, ready to go on from.

    Raises
    ------
    Interrupted
        On Ctrl-C; its `answer` holds what had come.
    BadSchema
        If no schema can be made of `schema` or `format`.
    OllamaNbError
        When there is no server, no such model, or no answer.

    Examples
    --------
    >>> first = chat("What is a DataFrame?")  # doctest: +SKIP
    >>> chat([*first.messages, "How do I sort it?"])  # doctest: +SKIP
    """
    request = chat_request(
        messages,
        model=model,
        system=system,
        options=merged(options, temperature=temperature, seed=seed),
        schema=wanted(schema, format),
        keep_alive=keep_alive,
    )
    is_json = request.schema is not None
    return ask(request, screen(request.model, visible=show, is_json=is_json))


def chat_request(
    messages: str | Iterable[str | Message],
    *,
    model: str | None = None,
    system: str | None = None,
    options: Mapping[str, Any] | None = None,
    schema: Schema | None = None,
    keep_alive: float | str | None = None,
) -> Request:
    """Return the request that `chat()` sends."""
    turns = [messages] if isinstance(messages, str) else list(messages)
    leading = [{"role": "system", "content": system}] if system else []
    fields = {
        "messages": [*leading, *(_message(turn) for turn in turns)],
        "options": dict(options or {}),
        "keep_alive": keep_alive,
    }
    return Request("chat", default_model(model), fields, schema)


def _message(turn: str | Message) -> dict[str, Any]:
    if isinstance(turn, str):
        return {"role": "user", "content": str(turn)}
    if not isinstance(turn.get("content", ""), str):
        raise NotText("a message's content", turn["content"])
    return dict(turn)


@dataclass(frozen=True, slots=True)
class Turn:
    """One question with its answer, and the run of a cell that asked it."""

    question: str
    answer: Generation
    cell: str | None = None  # the cell's id, where the front end tells
    run: object = None  # which execution of that cell


@dataclass
class Conversation:
    """A chat with memory.

    Parameters
    ----------
    model
        Default as for `generate()`.
    system
        Stands in front of every call.

    Examples
    --------
    >>> talk = Conversation(system="Answer in one sentence.")  # doctest: +SKIP
    >>> talk.say("What is a DataFrame?")  # doctest: +SKIP
    """

    model: str | None = None
    system: str | None = None
    turns: list[Turn] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The questions and answers so far, as messages."""
        return [message for turn in self.turns for message in _as_messages(turn)]

    def say(
        self, text: str, *, cell: str | None = None, run: object = None, **how: Any
    ) -> Generation:
        """Say something, return the answer and remember both.

        An answer that Ctrl-C cut short is remembered as far as it came. `how` is passed on to
        `chat()`. A cell that is run again takes the conversation back to before it, so that
        turns never appear twice.
        """
        self.go_back_to(cell, run)
        how = {"model": self.model, "system": self.system, **how}
        try:
            answer = chat([*self.messages, text], **how)
        except Interrupted as interrupt:
            self.remember(text, interrupt.answer, cell, run)
            raise
        self.remember(text, answer, cell, run)
        return answer

    def remember(
        self, question: str, answer: Generation, cell: str | None = None, run: object = None
    ) -> None:
        """Add a turn; one without any answer is left out."""
        if answer:
            self.turns.append(Turn(question, answer, cell, run))

    def go_back_to(self, cell: str | None, run: object) -> None:
        """Drop the turns since an earlier run of this cell."""
        for place, turn in enumerate(self.turns):
            if cell is not None and turn.cell == cell and turn.run != run:
                del self.turns[place:]
                return

    def reset(self) -> None:
        """Forget all turns."""
        self.turns.clear()

    def __repr__(self) -> str:
        return f"Conversation(model={self.model!r}, turns={len(self.turns)})"


def _as_messages(turn: Turn) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": turn.question},
        {"role": "assistant", "content": turn.answer.text},
    ]
