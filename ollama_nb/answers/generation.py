"""What a model said, as an object: `Generation` is the text and knows how it came about.

What it cost is in `call_stats`; who asks and who shows is elsewhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ollama_nb.answers.call_stats import CallStats
from ollama_nb.answers.markdown import closed
from ollama_nb.answers.rendering import in_block, joined, of_markdown, of_note, of_thoughts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ollama_nb.answers.rendering import Bundle
    from ollama_nb.answers.schemas import Schema
    from ollama_nb.answers.tool_call import ToolCall


class Generation(str):
    """An answer: a `str` wherever one is expected, with the facts of its call beside it.

    Attributes
    ----------
    model : str
        The model that answered.
    prompt : str
        What it was asked: the prompt, or the last message of a chat.
    messages : tuple of dict
        A chat with its answer, ready to go on from; empty for `generate()`.
    done_reason : str or None
        `stop`, `length` (the limit of tokens was met), `interrupted` or `error`.
    thinking : str
        What the model thought before it answered, where the server tells it apart.
    context : tuple of int or None
        Token ids that `generate(context=...)` continues from.
    stats : CallStats
        Counts and seconds.
    warnings : tuple of str
        What you should know: a prompt or an answer that was cut, an option without effect.
    cut : str
        Why the answer ended before it was whole, which is shown below it; else empty.
    schema : Schema or None
        The form that was asked for with `schema=` or `format=`.
    tool_calls : tuple of ToolCall
        The calls of `chat(tools=...)`, in their order: each has its `.name` and `.arguments`, and
        its `.result` or `.exception` once it is `.done`.

    Examples
    --------
    >>> answer = Generation("Paris", model="demo", prompt="The capital of France?")
    >>> answer.lower(), answer.model
    ('paris', 'demo')
    """

    # All have defaults because copy and pickle make the string first and fill the rest after.
    model: str
    prompt: str
    messages: tuple[dict[str, Any], ...]
    done_reason: str | None
    thinking: str
    context: tuple[int, ...] | None
    stats: CallStats
    warnings: tuple[str, ...]
    cut: str
    schema: Schema | None
    tool_calls: tuple[ToolCall, ...]
    shown: bool  # the running cell has displayed it already (see display.screens.mark_shown)

    def __new__(
        cls,
        text: str = "",
        *,
        model: str = "",
        prompt: str = "",
        messages: Sequence[dict[str, Any]] = (),
        done_reason: str | None = None,
        thinking: str = "",
        context: Sequence[int] | None = None,
        stats: CallStats | None = None,
        warnings: Sequence[str] = (),
        cut: str = "",
        schema: Schema | None = None,
        tool_calls: Sequence[ToolCall] = (),
    ) -> Generation:
        """Make the string and put the facts beside it."""
        self = super().__new__(cls, text)
        self.model = model
        self.prompt = prompt
        self.messages = tuple(messages)
        self.done_reason = done_reason
        self.thinking = thinking
        self.context = None if context is None else tuple(context)
        self.stats = stats or CallStats(datetime.now().astimezone(), 0.0)
        self.warnings = tuple(warnings)
        self.cut = cut
        self.schema = schema
        self.tool_calls = tuple(tool_calls)
        self.shown = False
        return self

    @property
    def text(self) -> str:
        """The answer as a plain `str`."""
        return str.__str__(self)

    @property
    def json(self) -> Any:
        """The answer parsed as JSON, anew each time.

        Raises
        ------
        AnswerCut
            If the answer ended before its JSON did.
        NotJson
            If it is no JSON.
        """
        from ollama_nb.answers.schemas.json_answers import as_json

        return as_json(self)

    @property
    def data(self) -> Any:
        """The answer as what it was asked for, anew each time.

        An object of the class that `schema=` named. For a short form a dataclass with the fields
        as attributes, dates and times as `datetime` has them, and None for what may be absent.
        For a JSON Schema, for `format="json"` and for text that happens to be JSON the same as
        `.json`.

        Raises
        ------
        AnswerCut, NotJson
            As for `.json`.
        NotFitting
            If the JSON is not of that class.
        """
        from ollama_nb.answers.schemas.json_answers import as_data

        return as_data(self)

    @property
    def frame(self) -> pd.DataFrame:
        """The answer's JSON as a DataFrame, its columns of the schema's types.

        A list of objects gives a row each; so does an object whose only field is a list. Any
        other object is one row. Values that are no objects make one column, named after the
        field or `value`. The index counts from 0. Where there is a schema, int is Int64, bool
        boolean, str string, dates and times (in UTC) are datetime64; missing values are NA.

        Raises
        ------
        AnswerCut, NotJson
            As for `.json`.
        NotATable
            If the JSON is neither a list nor an object.
        NotFitting
            If a value is not of its column's type.
        """
        from ollama_nb.answers.schemas.frames import as_frame

        return as_frame(self)

    def bundle(self) -> Bundle:
        """Return the answer as Jupyter shows and saves it: thoughts are folded, JSON is code.

        Calls that are done led to this answer and stand before it; others are what it asks for.
        """
        if not self.tool_calls:
            return self.said()
        from ollama_nb.answers.call_rendering import of_calls

        done = of_calls(call for call in self.tool_calls if call.done)
        return joined(done, self.said(), of_calls(c for c in self.tool_calls if not c.done))

    def said(self) -> Bundle:
        """Return what the model itself wrote, thoughts and text, and whether it was cut."""
        return joined(of_thoughts(self.thinking), self._text_bundle(), of_note(self.cut))

    def _text_bundle(self) -> Bundle:
        if self.schema is None or not self.text:
            return of_markdown(closed(self.text) if self.cut else self.text, self.text)
        from ollama_nb.answers.schemas.json_answers import pretty

        indented = pretty(self.text)
        return of_markdown(in_block(indented), indented)

    def provenance(self) -> dict[str, Any]:
        """Return the facts that a saved notebook keeps beside the answer (no times: they vary)."""
        return {"ollama_nb": {"model": self.model, "done_reason": self.done_reason}}

    def _repr_html_(self) -> str:
        return self.bundle()["text/html"]

    def _repr_markdown_(self) -> str:
        return self.bundle()["text/markdown"]

    def _ipython_display_(self) -> None:
        """Show nothing in the cell that has streamed the answer; anywhere else, show it."""
        if not self.shown:
            raise NotImplementedError  # IPython's word for: use the other representations
