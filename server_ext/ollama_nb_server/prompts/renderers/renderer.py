"""Runs the template of a family over a conversation, in the sandbox of all Jinja templates.

Owns the environment of our own templates. Which model has which renderer is decided above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

import jinja2

from ollama_nb_server.prompts import jinja
from ollama_nb_server.prompts.bounded import BoundedSandbox
from ollama_nb_server.prompts.budget import Budget, spending
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import ConversationRefused, UnknownRenderer
from ollama_nb_server.prompts.renderers.documents import message, tool
from ollama_nb_server.prompts.renderers.families import FAMILIES, Family
from ollama_nb_server.prompts.renderers.filters import FILTERS


@dataclass(frozen=True, slots=True)
class Renderer:
    """A built-in way to write conversations down. Templates may print the day, `clock`'s."""

    family: Family
    clock: Callable[[], datetime] = field(default=datetime.now, compare=False)

    @classmethod
    def of(cls, name: str, *, clock: Callable[[], datetime] = datetime.now) -> Renderer:
        """The renderer of this name.

        Raises
        ------
        UnknownRenderer
            If there is none.

        Examples
        --------
        >>> Renderer.of("glm-4.7").render([Turn("user", "Why?")], think=False)
        '[gMASK]<sop><|user|>Why?<|assistant|></think>'
        """
        if name not in FAMILIES:
            raise UnknownRenderer(name)
        return cls(FAMILIES[name], clock)

    def render(
        self,
        turns: Sequence[Turn],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        think: bool | str | None = None,
    ) -> str:
        """The prompt for a conversation.

        Parameters
        ----------
        turns
            The conversation, a model's system text and history included. Its images get their
            places here.
        tools
            In OpenAI's shape, with Ollama's keys.
        think
            As in the request, None being "not given".

        Raises
        ------
        ConversationRefused
            If the family does not take such a conversation.
        TemplateFailed
            If the prompt would be too long.
        """
        messages = [message(turn) for turn in turns]
        if self.family.prepare is not None:
            self.family.prepare(messages)
        variables = {
            **self.family.flags,
            "messages": messages,
            "tools": [tool(offered) for offered in tools],
            "think": think,
            "today": f"{self.clock():%Y-%m-%d}",
        }
        return jinja.run(_template(self.family.template), variables)


def leading_bos(name: str) -> str:
    """The text for "beginning of sequence" that a renderer's prompts begin with; empty if none."""
    return FAMILIES[name].bos if name in FAMILIES else ""


def refuse(reason: str) -> NoReturn:
    """What our templates call to refuse a conversation, in Ollama's words."""
    raise ConversationRefused(reason)


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


@cache
def _environment() -> BoundedSandbox:
    """One for all: they share their parts."""
    return jinja.environment(
        filters=FILTERS,
        functions={"refuse": refuse},
        loader=jinja2.FunctionLoader(_source),
        undefined=jinja2.StrictUndefined,  # a slip of ours is an error, and no gap in a prompt
    )


@cache
def _template(name: str) -> jinja2.Template:
    with spending(Budget()):
        return _environment().get_template(f"{name}.jinja")
