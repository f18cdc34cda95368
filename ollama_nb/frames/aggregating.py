"""`df.llm.agg()`: one answer about many rows, in parts where they are longer than a context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.generating import merged
from ollama_nb.asking.request import Request
from ollama_nb.errors import NotText
from ollama_nb.frames.errors import BadColumns, UnknownColumn
from ollama_nb.frames.packing import Budget
from ollama_nb.frames.prompts import prompt_texts
from ollama_nb.frames.running import answer_rows, warn_of_failures
from ollama_nb.frames.texts import texts_of
from ollama_nb.managing.catalogue import default_model

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

    from ollama_nb.errors import OllamaNbError
    from ollama_nb.frames.running import RowAnswer

MAX_TOKENS = 256  # of an answer
PART = "These are some of the texts, not all. Answer for these; your answer is put together later."
PUT_TOGETHER = "These are answers about parts of the texts. Put them together into one answer."


def agg(
    frame: pd.DataFrame,
    /,
    instruction: str,
    of: Hashable,
    *,
    by: Any = None,
    max_tokens: int = MAX_TOKENS,
    model: str | None = None,
    system: str | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    options: Mapping[str, Any] | None = None,
    keep_alive: float | str | None = None,
    fresh: bool = False,
    progress: bool = True,
) -> str | pd.Series[Any]:
    """Ask a model one thing about all rows together, or about those of each group.

    Where the texts are longer than the model's context, it is asked about parts of them, many at
    a time, and then about the answers, until one is left. All answers are kept on disk.

    Parameters
    ----------
    instruction
        What is asked: `"What do these guests complain of most?"`. Taken literally.
    of
        The column of the texts, or a template with columns: `"{{ title }}: {{ body }}"`.
    by
        A column, or several, whose values make groups, as for pandas' `groupby`.
    max_tokens
        The most tokens of an answer, of one about a part too.
    model, system, temperature, seed, options, keep_alive
        As for `ollama_nb.generate()`. A larger `num_ctx` makes fewer parts.
    fresh
        Ask anew, whatever is kept.
    progress
        Show a bar for each round of questions, and leave a line of text.

    Returns
    -------
    str or pandas.Series
        The answer; with `by` a Series of dtype string, named `answer`, a row for each group as
        pandas' `groupby` has them. Rows with a missing text are left out; a group without any
        text, or whose answer failed, is missing (NA).

    Raises
    ------
    UnknownColumn, BadTemplate
        For a column that there is not.
    BadColumns
        If the context is too short for two answers, or there is no text and no `by`.
    OllamaNbError
        If there is no server, no such model or, without `by`, no answer.

    Warns
    -----
    RowsFailed
        If groups have no answer because something went wrong.

    Examples
    --------
    >>> df.llm.agg("What is praised most?", "review", by="city")  # doctest: +SKIP
    """
    import pandas as pd

    if not isinstance(instruction, str):
        raise NotText("the instruction", instruction)
    texts = pd.Series(_texts(frame, of), index=range(len(frame)), dtype=object)
    if by is None:
        groups, index = [texts.dropna().tolist()], None
        if not groups[0]:
            raise BadColumns("there is no text to ask about")
    else:
        rows = frame.reset_index(drop=True).groupby(by, observed=True)
        found = {name: texts.loc[places].dropna().tolist() for name, places in _places(rows)}
        groups, index = list(found.values()), rows.size().index
    fields = {
        "system": system,
        "options": {"num_predict": max_tokens}
        | merged(options, temperature=temperature, seed=seed),
        "keep_alive": keep_alive,
    }
    how = {"fresh": fresh, "progress": progress}
    run = _Run(instruction, default_model(model), fields, max_tokens, how)
    answers = run.answers(groups)
    if index is None:
        if run.errors[0] is not None:
            raise run.errors[0]
        return str(answers[0])
    warn_of_failures(run.errors, shown=False)
    column: pd.Series[Any] = pd.Series(
        pd.array(answers, dtype="string"), index=index, name="answer"
    )
    return column


def agg_column(series: pd.Series[Any], /, instruction: str, **how: Any) -> str | pd.Series[Any]:
    """Ask a model one thing about all texts of a column together.

    Parameters
    ----------
    instruction
        What is asked. Taken literally.
    how
        As for `df.llm.agg()`, but for `by`.

    Returns
    -------
    str
        The answer.

    Examples
    --------
    >>> df["review"].llm.agg("What do these guests complain of most?")  # doctest: +SKIP
    """
    return agg(series.to_frame("text"), instruction, "text", **how)


def _texts(frame: pd.DataFrame, of: Hashable) -> list[str | None]:
    """Return the text of each row: a column's, or what a template makes of it."""
    if of in frame.columns:
        return texts_of(frame[of])
    if isinstance(of, str) and "{{" in of:
        return prompt_texts(frame, of)
    raise UnknownColumn(str(of), list(map(str, frame.columns)))


def _places(rows: Any) -> list[tuple[Any, Any]]:
    """Return each group's name and the places of its rows, in the order of its index."""
    return [(name, group.index) for name, group in rows]


class _Run:
    """Rounds of questions: about parts, then about the answers, until each group has one."""

    def __init__(
        self,
        instruction: str,
        model: str,
        fields: Mapping[str, Any],
        max_tokens: int,
        how: Mapping[str, Any],
    ) -> None:
        self._instruction, self._model, self._fields, self._how = instruction, model, fields, how
        said = [instruction, PART, PUT_TOGETHER, str(fields.get("system") or "")]
        self._budget = Budget.of(model, fields["options"], "\n".join(said), max_tokens)
        self.errors: list[OllamaNbError | None] = []

    def answers(self, groups: Sequence[list[str]]) -> list[str | None]:
        """Return an answer for each group, None where there is no text or something failed."""
        self.errors = [None] * len(groups)
        answers: list[str | None] = [None] * len(groups)
        left = {place: texts for place, texts in enumerate(groups) if texts}
        about = ""
        while left:
            parts = {place: self._budget.parts(texts) for place, texts in left.items()}
            answered = self._round(parts, about)
            about, left = PUT_TOGETHER, {}
            for place, rows in answered.items():
                self.errors[place] = next((row.error for row in rows if row.error), None)
                texts = [row.answer.text.strip() for row in rows if row.answer is not None]
                if self.errors[place] is not None:
                    continue
                if len(texts) == 1:
                    answers[place] = texts[0]
                else:
                    left[place] = texts
        return answers

    def _round(
        self, parts: Mapping[int, list[list[str]]], about: str
    ) -> dict[int, list[RowAnswer]]:
        """Ask about all parts of all groups at once."""
        questions = [
            self._question(texts, about or (PART if len(of_group) > 1 else ""))
            for of_group in parts.values()
            for texts in of_group
        ]
        rows = iter(answer_rows(questions, self._model, **self._how))
        return {place: [next(rows) for _ in of_group] for place, of_group in parts.items()}

    def _question(self, texts: Sequence[str], about: str) -> Request:
        told = f"{self._instruction}\n\n{about}".strip()
        listed = "\n\n".join(texts)
        fields = {**self._fields, "prompt": f"{told}\n\n{listed}"}
        return Request("generate", self._model, fields)
