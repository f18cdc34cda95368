"""`chat()` and `Conversation`: messages in, an answer out, with or without memory.

How a call runs is in `streaming`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_nb.answers.schemas import wanted
from ollama_nb.asking.generating import merged
from ollama_nb.asking.messages import message_of, with_pictures
from ollama_nb.asking.request import Request
from ollama_nb.asking.rounds import Rounds, offering
from ollama_nb.asking.streaming import ask
from ollama_nb.asking.templating import Rendered, text_alone
from ollama_nb.asking.thinking import Thinking, thinking_of
from ollama_nb.display.screens import screen
from ollama_nb.errors import BadMessage, Interrupted
from ollama_nb.managing.catalogue import default_model
from ollama_nb.pictures.picture import pictures_of
from ollama_nb.tools.definition import tools_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ollama_nb.answers.generation import Generation
    from ollama_nb.answers.schemas import Schema
    from ollama_nb.pictures.picture import Picture

    Message = Mapping[str, Any]


def chat(
    messages: str | Rendered | Iterable[str | Rendered | Message],
    *,
    model: str | None = None,
    system: str | Rendered | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    options: Mapping[str, Any] | None = None,
    schema: Any = None,
    format: Mapping[str, Any] | str | None = None,
    schema_in_prompt: bool | None = None,
    images: Any = None,
    think: bool | str | None = None,
    think_budget: int | None = None,
    tools: Any = None,
    tool_choice: Any = None,
    confirm: bool = True,
    max_rounds: int = 8,
    keep_alive: float | str | None = None,
    show: bool | None = None,
) -> Generation:
    """Send messages to a model and return its answer. Nothing is remembered between calls.

    Parameters
    ----------
    messages
        One text, or a list of messages `{"role": ..., "content": ...}`; a text in the list is a
        message of the user, and so is `render("... {{ df }} ...", df=df)`, one with variables.
    model, system, temperature, seed, options, schema, format, schema_in_prompt, think,
    think_budget, keep_alive
        As for `generate()`; `system` goes in front of the messages.
    images
        Pictures as for `generate()`; they go with the last message.
    tools
        Functions that the model may call: what it is told of them comes from their names, type
        hints and docstrings. What they return, or raise, goes back to the model. Definitions as
        Ollama's API has them (dicts) are offered too; their calls are returned, not run.
    tool_choice
        "auto" (the default): the model decides. "required": it begins with a call; a tool, or its
        name: with a call of it; "none": it calls nothing. With ollama_nb's own server a call is
        always well-formed.
    confirm
        Whether you are asked before a call runs.
    max_rounds
        How many times the model may call tools before it must have answered.
    show
        Stream the answer into the running cell. Default: with tools, so that every call is seen.

    Returns
    -------
    Generation
        Its `.messages` are the conversation with the answer, ready to go on from; its
        `.tool_calls` what was called, with what came of it.

    Raises
    ------
    Interrupted
        On Ctrl-C; its `answer` holds what had come, and in its `.messages` the conversation.
    BadSchema, BadThinking, NotAPicture, BadMessage
        If an argument cannot be sent.
    BadTool
        If a model could not call one of `tools`.
    TooManyRounds, NobodyToAsk
        If the model does not stop calling tools, or a call was to be confirmed in a notebook that
        a program executes; `answer` as for Interrupted.
    OllamaNbError
        When there is no server, no such model, or no answer.

    Examples
    --------
    >>> first = chat("What is a DataFrame?")  # doctest: +SKIP
    >>> chat([*first.messages, "How do I sort it?"])  # doctest: +SKIP
    >>> chat("How old is the oldest?", tools=[maximum]).tool_calls[0].result  # doctest: +SKIP
    80.0
    """
    offered = tools_of(tools)
    request = chat_request(
        messages,
        model=model,
        system=system,
        options=merged(options, temperature=temperature, seed=seed),
        schema=wanted(schema, format, schema_in_prompt),
        keep_alive=keep_alive,
        images=pictures_of(images),
        thinking=thinking_of(think, think_budget),
    )
    visible = bool(offered) if show is None else show
    if offered or tool_choice is not None:
        request = offering(request, offered, tool_choice)
        return Rounds(request, offered, confirm=confirm, show=visible).run(max_rounds)
    return ask(request, screen(request.model, visible=visible, is_json=request.schema is not None))


def chat_request(
    messages: str | Rendered | Iterable[str | Rendered | Message],
    *,
    model: str | None = None,
    system: str | Rendered | None = None,
    options: Mapping[str, Any] | None = None,
    schema: Schema | None = None,
    keep_alive: float | str | None = None,
    images: Sequence[Picture] = (),
    thinking: Thinking | None = None,
) -> Request:
    """Return the request that `chat()` sends.

    Raises
    ------
    BadMessage
        If a message is none, or if there is none that the pictures belong to.
    """
    thinking = thinking or Thinking()
    _refuse_nothing(messages)
    turns = [messages] if isinstance(messages, str | Rendered) else list(messages)
    told = text_alone(system, "the system text") if system else ""
    leading = [{"role": "system", "content": told}] if told else []
    fields = {
        "messages": with_pictures([*leading, *(message_of(turn) for turn in turns)], images),
        "options": dict(options or {}),
        "think": thinking.think,
        "keep_alive": keep_alive,
    }
    return Request("chat", default_model(model), fields, schema, thinking.extensions)


def _refuse_nothing(messages: Any) -> None:
    text = messages.text if isinstance(messages, Rendered) else messages
    pictures = isinstance(messages, Rendered) and messages.images
    if not (text or pictures) or (isinstance(text, str) and not (text.strip() or pictures)):
        raise BadMessage("there is no message: chat() needs a text, or a list of messages")


@dataclass(frozen=True, slots=True)
class Turn:
    """One question with its answer, and the run of a cell that asked it.

    `messages` are the question, the answer, and calls of tools between them.
    """

    question: str
    answer: Generation
    messages: tuple[dict[str, Any], ...]
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
    def messages(self) -> list[dict[str, Any]]:
        """The questions and answers so far, as messages."""
        return [message for turn in self.turns for message in turn.messages]

    def say(
        self, text: str | Rendered, *, cell: str | None = None, run: object = None, **how: Any
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
            self.remember(str(text), interrupt.answer, cell, run)
            raise
        self.remember(str(text), answer, cell, run)
        return answer

    def remember(
        self, question: str, answer: Generation, cell: str | None = None, run: object = None
    ) -> None:
        """Add a turn; one without any answer is left out."""
        before = len(self.messages) + sum(one["role"] == "system" for one in answer.messages[:1])
        messages = answer.messages[before:]
        if len(messages) > 1:
            self.turns.append(Turn(question, answer, messages, cell, run))

    def go_back_to(self, cell: str | None, run: object) -> None:
        """Drop the turns since an earlier run of this cell."""
        del self.turns[self._begin_of(cell, run) :]

    def messages_before(self, cell: str | None, run: object) -> list[dict[str, Any]]:
        """Return the messages that a run of this cell goes on from."""
        kept = self.turns[: self._begin_of(cell, run)]
        return [message for turn in kept for message in turn.messages]

    def _begin_of(self, cell: str | None, run: object) -> int:
        """Return how many turns are older than an earlier run of this cell."""
        for place, turn in enumerate(self.turns):
            if cell is not None and turn.cell == cell and turn.run != run:
                return place
        return len(self.turns)

    def reset(self) -> None:
        """Forget all turns."""
        self.turns.clear()

    def __repr__(self) -> str:
        return f"Conversation(model={self.model!r}, turns={len(self.turns)})"
