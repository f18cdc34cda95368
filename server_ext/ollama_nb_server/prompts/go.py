"""Runs a model's Go template as Ollama does: over messages, the old way, or to fill in.

Owns which data a template sees and how often it runs (reference/ollama-models.md 5.1, 5.2, 5.4).
The language is `gotemplate`'s; whether a model's Go template is used at all is decided above.

Deviations from Ollama, each where Ollama fails: functions and named templates stay defined in the
last run of the old style, an `else` behind the cut is empty in it, and `{{ template "x" }}` without
a value is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from ollama_nb_server.gotemplate import (
    ExecutionFault,
    LimitExceeded,
    Limits,
    SyntaxFault,
    Template,
    Value,
    parse,
)
from ollama_nb_server.gotemplate.analysis import TemplateFacts, read_trees
from ollama_nb_server.gotemplate.limits import DEFAULT_LIMITS
from ollama_nb_server.gotemplate.nodes import Action, Command, Field, List, Pipe
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import GoTemplateBroken, GoTemplateFailed
from ollama_nb_server.prompts.go_cut import cut_after_response
from ollama_nb_server.prompts.go_forms import Exchange, collated, exchanges
from ollama_nb_server.prompts.go_functions import functions
from ollama_nb_server.prompts.go_messages import messages
from ollama_nb_server.prompts.go_tools import Tools

# What Ollama uses for a model that has no template layer.
DEFAULT = "{{ .Prompt }}"
RESPONSE = Action(Pipe((Command((Field(("Response",)),)),)))
MAX_KEPT_CHARS = 1 << 16  # a longer template, which no model has, is made anew each time
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class GoChatTemplate:
    """A Go template that writes conversations down. Made by `of`; every method may run in threads.

    Attributes
    ----------
    template
        The template, ready to run. Where it names neither messages nor a response it ends with
        one, which the text that a model was made with does not show.
    last_run
        The same, cut off at the response: what the old style ends with.
    reading
        What the text tells without being run.
    """

    template: Template
    last_run: Template
    reading: TemplateFacts

    @classmethod
    def of(cls, text: str, *, clock: Clock = datetime.now) -> GoChatTemplate:
        """The template of this text, made once for each text and clock.

        Parameters
        ----------
        text
            A Go template. Nothing in it is trusted.
        clock
            Where the template's dates come from.

        Raises
        ------
        GoTemplateBroken
            If it is no template, with what Go says of it.

        Examples
        --------
        >>> GoChatTemplate.of("Q: {{ .Prompt }} A: ").render([Turn("user", "Why?")])
        'Q: Why? A: '
        """
        return _made(text, clock) if len(text) > MAX_KEPT_CHARS else _kept(text, clock)

    @property
    def variables(self) -> frozenset[str]:
        """All names of fields and variables in the text, lower-cased."""
        return self.reading.variables

    @property
    def tool_tag(self) -> str:
        """The text that begins a tool call in what the model writes."""
        return self.reading.tool_tag

    @property
    def think_tags(self) -> tuple[str, str] | None:
        """The texts around thinking in what the model writes, if the template has both."""
        return self.reading.think_tags

    def render(
        self,
        turns: Sequence[Turn],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        think: bool | str | None = None,
    ) -> str:
        """The prompt for a conversation, in the form that the template is written for.

        Parameters
        ----------
        turns
            The conversation, a model's system text and history included. Images' places are in its
            texts already (`image_tags`).
        tools
            In OpenAI's shape. None is "not given": `.Tools` is empty either way, but prints as
            null and not as `[]`.
        think
            As in the request, None being "not given".

        Raises
        ------
        GoTemplateFailed
            If the template asks for what these turns do not have, or for too much.
        """
        system, merged = collated(turns)
        if "messages" not in self.variables:
            return self._render_exchanges(merged, _thinking(think))
        data = {
            "System": system,
            "Messages": messages(merged),
            "Tools": Tools(tools),
            "Response": "",
            **_thinking(think),
        }
        return _run(self.template, data)

    def render_insert(self, prompt: str, suffix: str, *, think: bool | str | None = None) -> str:
        """The prompt for what belongs between two texts, neither of which is empty.

        Raises
        ------
        GoTemplateFailed
            As for `render`.
        """
        data = {"Prompt": prompt, "Suffix": suffix, "Response": "", **_thinking(think)}
        return _run(self.template, data)

    def _render_exchanges(self, turns: Sequence[Turn], thinking: Mapping[str, Value]) -> str:
        """The old style: a run for each exchange, the last one up to the response only."""
        over, now = exchanges(turns)
        limits = _shared(len(over) + 1)
        texts = [_run(self.template, _exchange(one, thinking), limits) for one in over]
        return "".join((*texts, _run(self.last_run, _exchange(now, thinking), limits)))


def _exchange(exchange: Exchange, thinking: Mapping[str, Value]) -> dict[str, Value]:
    return {
        "System": exchange.system,
        "Prompt": exchange.prompt,
        "Response": exchange.response,
        **thinking,
    }


def _thinking(think: bool | str | None) -> dict[str, Value]:
    """The three variables of `think`; a plain true is of medium level."""
    level = think if isinstance(think, str) else "medium" if think else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def _shared(num_runs: int) -> Limits:
    """Bounds of one of several runs, all of which may cost what one may."""
    return replace(
        DEFAULT_LIMITS,
        max_steps=DEFAULT_LIMITS.max_steps // num_runs,
        max_output_chars=DEFAULT_LIMITS.max_output_chars // num_runs,
    )


def _run(template: Template, data: Value, limits: Limits = DEFAULT_LIMITS) -> str:
    try:
        return template.execute(data, limits)
    except ExecutionFault as fault:
        raise GoTemplateFailed(str(fault), fault.line, fault.column) from fault
    except LimitExceeded as fault:
        raise GoTemplateFailed(str(fault)) from fault


def _made(text: str, clock: Clock) -> GoChatTemplate:
    try:
        template = parse(text, functions(clock))
    except SyntaxFault as fault:
        raise GoTemplateBroken(str(fault), fault.line, fault.column) from fault
    except LimitExceeded as fault:
        raise GoTemplateBroken(str(fault)) from fault
    reading = read_trees(template.trees)
    if not {"messages", "response"} & reading.variables:
        template = template.replace(List((*template.root.nodes, RESPONSE)))
    last_run = template.replace(cut_after_response(template.root))
    return GoChatTemplate(template, last_run, reading)


_kept = lru_cache(maxsize=128)(_made)
