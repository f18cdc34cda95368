"""From a template and the rows of a frame to a prompt a row.

A column is a variable of the template; how a value becomes text is `asking.templating`'s business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.templating import Template, text_alone
from ollama_nb.errors import NotText, OllamaNbError
from ollama_nb.frames.errors import NoColumn, UnknownColumn
from ollama_nb.frames.texts import is_missing

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    import pandas as pd

    from ollama_nb.asking.templating import Rendered

TEXT = "text"  # what a column's own values are called in its template


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one row asks: the prompt, and the system text if that is a template too."""

    prompt: Rendered
    system: Rendered | None = None


def variables(frame: pd.DataFrame) -> dict[str, int]:
    """Return the names that templates know the columns by, with their places.

    A name that cannot be a variable's has `_` for what disturbs: "review text" is review_text.
    """
    names = [_flat(label) for label in frame.columns]
    easy = {re.sub(r"\W", "_", name): place for place, name in enumerate(names)}
    return easy | {name: place for place, name in enumerate(names)}


def _flat(label: Hashable) -> str:
    return "_".join(map(str, label)) if isinstance(label, tuple) else str(label)


def prompts_of(
    frame: pd.DataFrame, template: str, system: str | None = None
) -> list[Prompt | OllamaNbError | None]:
    """Return what each row asks; None where a value that it needs is missing.

    Raises
    ------
    UnknownColumn
        For a name in a template that is no column's.
    NoColumn
        For a template that has none.
    """
    if not isinstance(template, str):
        raise NotText("the template", template)
    asking, telling = Template(template), None if system is None else Template(system)
    known = variables(frame)
    named = list(dict.fromkeys([*asking.names, *(telling.names if telling else ())]))
    if not named:
        raise NoColumn([name for name in known if name.isidentifier()])
    for name in named:
        if name not in known:
            raise UnknownColumn(name, list(known))
    return [_prompt(row, asking, telling) for row in _rows(frame, named, known)]


def prompt_texts(frame: pd.DataFrame, template: str) -> list[str | None]:
    """Return the text of each row, None where a value that it needs is missing.

    Raises
    ------
    OllamaNbError
        The first that a row has, beside those of `prompts_of`.
    """
    prompts = prompts_of(frame, template)
    for prompt in prompts:
        if isinstance(prompt, OllamaNbError):
            raise prompt
    return [
        text_alone(prompt.prompt, "the template") if isinstance(prompt, Prompt) else None
        for prompt in prompts
    ]


def _rows(
    frame: pd.DataFrame, named: Sequence[str], known: dict[str, int]
) -> Iterator[dict[str, Any] | None]:
    """Yield the named values of each row, or None if one of them is missing."""
    columns = [list(frame.iloc[:, known[name]]) for name in named]
    for values in zip(*columns, strict=True):
        missing = any(is_missing(value) for value in values)
        yield None if missing else dict(zip(named, values, strict=True))


def _prompt(
    row: dict[str, Any] | None, asking: Template, telling: Template | None
) -> Prompt | OllamaNbError | None:
    if row is None:
        return None
    try:
        system = telling.render(row) if telling else None
        if system is not None:
            text_alone(system, "the system text")
        return Prompt(asking.render(row), system)
    except OllamaNbError as error:
        return error
