"""How an answer is read: which parser takes it apart, and what calls in it must look like.

Which way a model goes is reference/ollama-models.md 7: a built-in parser by its name; for a
rendered model the generic ones, by its Go template; for a native one what llama.cpp takes from its
Jinja template. Without `tool_choice` all are exactly as Ollama's; with it nothing is ever lost.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ollama_nb_server.answering.styles import Think, is_rendered
from ollama_nb_server.engine.messages import Thinking
from ollama_nb_server.gotemplate.analysis import read
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.parsing.formats import FORMATS, OutputFormat
from ollama_nb_server.prompts.parsing.generic import generic
from ollama_nb_server.prompts.parsing.loose_calls import LooseParser
from ollama_nb_server.prompts.parsing.native import native_format
from ollama_nb_server.prompts.parsing.notations import JsonCall, Notation
from ollama_nb_server.prompts.parsing.parts import OutputParser, Parts, Situation, Tool
from ollama_nb_server.prompts.parsing.tag_calls import TagCall, notation_of_tag
from ollama_nb_server.prompts.thoughts import Thoughts
from ollama_nb_server.wire.chat import Tool as OfferedTool
from ollama_nb_server.wire.errors import ThinkBudgetConflict, ToolChoiceConflict
from ollama_nb_server.wire.fields import Choice

LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """How one answer is read.

    Attributes
    ----------
    parser
        Takes it apart.
    tags
        Control tokens that the parser must see.
    thoughts
        The texts around what is thought first; None where nothing is, or nobody tells it apart.
    calls
        How calls are bound, where the request asks for that.
    calls_last
        Whether calls are told with the last message only, as llama-server does.
    new_id
        Makes the id of a call that the model gave none.
    """

    parser: OutputParser
    tags: tuple[str, ...]
    thoughts: Thoughts | None
    calls: BoundCalls | None
    calls_last: bool
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class BoundCalls:
    """Calls of these tools in this notation; an answer has one at least if it `must_call`.

    `end_thoughts`: a call may begin inside a thought, which is over then. `loose`: a call that
    begins the answer counts in JSON alone too.
    """

    notation: Notation
    tools: tuple[Tool, ...]
    must_call: bool
    end_thoughts: bool
    loose: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of a request, and whether they must be used."""

    tools: tuple[Tool, ...] = ()
    choice: Choice | None = None

    @classmethod
    def of(cls, tools: Sequence[OfferedTool] | None, choice: Choice | None) -> Offer:
        """What a chat request offers.

        Raises
        ------
        ToolChoiceConflict
            If it must be used and is not there; if calls are to be bound to one without a name.
        """
        offered = tuple(map(_tool, tools or ()))
        names = [tool.name for tool in offered]
        if choice and choice.must_call and not offered:
            raise ToolChoiceConflict("tool_choice asks for a call: send the tools to be called")
        if choice and "" in names:
            raise ToolChoiceConflict("tool_choice binds calls by name: give every tool a name")
        if choice and choice.name and choice.name not in names:
            raise ToolChoiceConflict(
                f"tool_choice names the function {choice.name!r}, which is not among the tools "
                f"({', '.join(names)})"
            )
        return cls(offered, choice)

    @property
    def callable(self) -> tuple[Tool, ...]:
        """The tools that may be called."""
        if self.choice and self.choice.kind == "none":
            return ()
        name = self.choice.name if self.choice else ""
        return tuple(tool for tool in self.tools if not name or tool.name == name)


def _tool(tool: OfferedTool) -> Tool:
    schema = tool.function.parameters.schema_sent
    return Tool(tool.function.name, {"type": "object", **schema})


def output_plan(
    model: Model,
    situation: Situation,
    offer: Offer,
    prompt: str,
    *,
    think: Think,
    chat: bool,
    raw: bool = False,
) -> OutputPlan:
    """How the answer to this prompt is read.

    Parameters
    ----------
    situation
        What parsers must know; its tools and `lossless` are set here.
    think
        Whether the model is asked to think, its default applied.
    chat
        Whether this is a chat: generate leaves a native model's text as it is.
    raw
        Whether the prompt is the client's own, to which no built-in parser belongs.
    """
    situation = replace(situation, tools=offer.callable, lossless=offer.choice is not None)
    form = _form(model, prompt, think, tools=bool(offer.callable), chat=chat, raw=raw)
    parser = form.parser(situation)
    native = chat and _is_native(model)
    if not offer.callable and (native or offer.choice):
        parser = _WithoutCalls(parser)
    thoughts = _thoughts(form, situation)
    bound = _bound(form, model, offer, situation, thoughts)
    if bound and bound.loose:
        parser = LooseParser(parser, bound.tools)
    return OutputPlan(
        parser,
        form.tags,
        thoughts,
        bound,
        calls_last=native,
        new_id=native_id if native else rendered_id,
    )


def limited_thinking(model: Model, output: OutputPlan, budget: int | None) -> Thinking | None:
    """How long the model may think, if the request says so.

    Raises
    ------
    ThinkBudgetConflict
        If nobody tells its thoughts apart here.
    """
    if budget is None:
        return None
    thoughts = output.thoughts
    if thoughts is None:
        raise ThinkBudgetConflict(
            f"think_budget: the thoughts of {model.name.display} are not told apart in this kind "
            "of request; use /api/chat without raw, or leave think_budget out"
        )
    return Thinking(thoughts.opens, thoughts.closes, thoughts.begun, budget)


USUAL_THOUGHTS = ("<think>", "</think>")  # which many clients leave in what they send back


def own_tags(model: Model) -> tuple[str, ...]:
    """The texts that mark thoughts and calls in a model's answers, whatever a request wants."""
    form = _form(model, "", True, tools=True, chat=True, raw=False)
    return (*USUAL_THOUGHTS, *form.own_tags)


def _is_native(model: Model) -> bool:
    """Whether llama.cpp would make its prompts and read its answers."""
    return not (is_rendered(model) or model.parser or model.config.renderer)


def _form(
    model: Model, prompt: str, think: Think, *, tools: bool, chat: bool, raw: bool
) -> OutputFormat:
    """The model's way to write an answer to this prompt."""
    built_in = FORMATS.get(model.parser)
    if built_in is not None and not raw:
        return built_in
    if _is_native(model):
        template = (model.metadata.tool_template if tools else "") or model.metadata.chat_template
        return native_format(template, prompt) if chat else PLAIN
    reading = read(model.template or "")
    tags = reading.think_tags if reading and think else None
    tag = reading.tool_tag if reading and tools else ""
    return _by_go_template(tags, tag, model.template or "", prompt)


PLAIN = OutputFormat(lambda situation: generic(situation, None, None))


def _by_go_template(
    tags: tuple[str, str] | None, tag: str, template: str, prompt: str
) -> OutputFormat:
    """As a Go template shows it by what it puts around thinking and calls."""
    thoughts = tags and Thoughts(*tags, begun=prompt.rstrip().endswith(tags[0]))
    calls = notation_of_tag(tag, template) if tag else None
    marks = (calls.opens, calls.closes) if isinstance(calls, JsonCall | TagCall) else ()
    return OutputFormat(
        lambda situation: generic(situation, thoughts, tag or None),
        tags=(*(tags or ()), *(mark for mark in marks if mark)),
        tools=bool(tag),
        thinking=thoughts is not None,
        calls=calls,
        thoughts=tags,
    )


def _thoughts(form: OutputFormat, situation: Situation) -> Thoughts | None:
    """What is thought first; whether it has begun is seen by what a first word is taken for."""
    if form.thoughts is None or situation.think is False:
        return None
    probe = form.parser(situation)
    begun = bool((probe.feed("x") + probe.end()).thinking)
    return Thoughts(*form.thoughts, begun=begun)


def _bound(
    form: OutputFormat,
    model: Model,
    offer: Offer,
    situation: Situation,
    thoughts: Thoughts | None,
) -> BoundCalls | None:
    """How calls are bound to their tools, if the request wants that.

    Raises
    ------
    ToolChoiceConflict
        If nobody knows how this model writes a call.
    """
    if offer.choice is None or not offer.callable:
        return None
    if form.calls is None:
        raise ToolChoiceConflict(
            f"tool_choice: how {model.name.display} writes tool calls is not known; leave "
            "tool_choice out"
        )
    must, opens = offer.choice.must_call, form.calls.opens
    ends = thoughts is None or _calls_end(thoughts, opens, form.parser(situation))
    loose = not must and not opens.startswith(("{", "["))
    return BoundCalls(form.calls, offer.callable, must, ends, loose)


def _calls_end(thoughts: Thoughts, opens: str, probe: OutputParser) -> bool:
    """Whether the opening of a call is seen inside a thought; tried out, as above."""
    text = f"{'' if thoughts.begun else thoughts.opens}x{opens}y"
    return opens not in (probe.feed(text) + probe.end()).thinking


class _WithoutCalls:
    """Calls that nobody wanted, told as the text that they are."""

    def __init__(self, parser: OutputParser) -> None:
        self._parser = parser

    def feed(self, text: str) -> Parts:
        """What is certain now."""
        return _as_text(self._parser.feed(text))

    def end(self) -> Parts:
        """What is left when nothing more comes."""
        return _as_text(self._parser.end())


def _as_text(parts: Parts) -> Parts:
    texts = (
        json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
        for call in parts.calls
    )
    return replace(parts, content=parts.content + "".join(texts), calls=())


def rendered_id() -> str:
    """As Ollama makes them."""
    return "call_" + "".join(secrets.choice(LETTERS) for _ in range(8))


def native_id() -> str:
    """As llama-server makes them."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))
