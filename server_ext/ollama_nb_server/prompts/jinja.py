"""Runs a GGUF's own Jinja chat template in a bounded sandbox; its text is that of transformers.

Owns the environment and the functions that model authors expect; which template a model uses, and
with which variables, is decided above.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NoReturn

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.utils import Namespace, generate_lorem_ipsum

from ollama_nb_server.prompts import formats, growth
from ollama_nb_server.prompts.bounded import BoundedSandbox
from ollama_nb_server.prompts.budget import BASE_SECONDS, Budget, running, spending, weigh
from ollama_nb_server.prompts.errors import TemplateFailed

MAX_TEMPLATE_CHARS = 1 << 16  # four times the longest that is known; jinja2 compiles slowly

NONE_MORE: Mapping[str, Callable[..., Any]] = MappingProxyType({})

# What Python raises for what a template does with its values.
VALUE_ERRORS = (
    TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError,
    RuntimeError,
)  # fmt: skip


class GenerationTag(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}` marks text for training; here it is plain."""

    tags = {"generation"}  # noqa: RUF012 - the type that jinja2 declares

    def parse(self, parser: Parser) -> nodes.Node:
        """Keep what stands between the tags; as in transformers it has a scope of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("kept"), [], [], body).set_lineno(line)

    def kept(self, caller: Macro) -> str:
        """The text between the tags."""
        return caller()


class Missing(jinja2.Undefined):
    """What is not there, nor are its parts: `messages[0].role` where there are no messages."""

    def __getattr__(self, name: str) -> Missing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _: Any) -> Missing:  # type: ignore[override]
        return self


class TemplateNamespace(Namespace):
    """`namespace()`: as in transformers, no name in it begins with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # a template may pass `self`
        self, *rest = args
        attributes = dict(*rest, **kwargs)
        for name in attributes:
            _allowed(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _allowed(name)
        super().__setitem__(name, value)


def _allowed(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(
            f"a namespace takes no name that begins with an underscore, as {name!r} does"
        )


class TemplateDict:
    """`dict`: the two things templates do with it, and not the class itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """`dict(...)`."""
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """`dict.fromkeys`."""
        return dict.fromkeys(*args)


def tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as transformers writes it: no HTML escapes, real letters, blanks after `,` and `:`."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def raise_exception(message: str) -> NoReturn:
    """What templates call to refuse a conversation."""
    raise jinja2.exceptions.TemplateError(message)


def strftime_now(clock: Callable[[], datetime]) -> Callable[[str], str]:
    """The template function of that name, reading `clock`."""

    def formatted(format: str) -> str:
        formats.dated(running(), format)
        return clock().strftime(format)

    return formatted


def lipsum(*counts: Any, **named: Any) -> str:
    """jinja2's own filler text, so much of it as anyone may want."""
    growth.invented(running(), *counts, **named)
    return generate_lorem_ipsum(*counts, **named)


def environment(
    *,
    filters: Mapping[str, Callable[..., Any]] = NONE_MORE,
    functions: Mapping[str, Callable[..., Any]] = NONE_MORE,
    **settings: Any,
) -> BoundedSandbox:
    """A sandbox, with `filters` and `functions` of its own besides those of all templates."""
    made = BoundedSandbox(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationTag, "jinja2.ext.loopcontrols"],
        **settings,
    )
    made.filters.update({"tojson": tojson, **filters})
    made.globals.update(
        raise_exception=raise_exception,
        dict=TemplateDict(),
        namespace=TemplateNamespace,
        lipsum=lipsum,
        **functions,
    )
    made.bound_filters()
    return made


def compiled(source: str) -> jinja2.Template:
    """Compile a chat template once.

    Raises
    ------
    TemplateFailed
        If it does not parse; the line is given.
    """
    found = _compiled(source)
    if isinstance(found, TemplateFailed):
        raise TemplateFailed(found.reason, found.line) from found.__cause__
    return found


@lru_cache(maxsize=64)
def _compiled(source: str) -> jinja2.Template | TemplateFailed:
    """Failures are kept too: a bad template is not worth another look with each request."""
    try:
        return _compile(source)
    except TemplateFailed as error:
        return error


def _compile(source: str) -> jinja2.Template:
    if len(source) > MAX_TEMPLATE_CHARS:
        raise TemplateFailed(f"it has {len(source)} characters, more than {MAX_TEMPLATE_CHARS}")
    try:
        with spending(Budget(len(source))):
            # One environment each: jinja2 keeps some state of a compilation in it.
            return environment().from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateFailed(error.message or "syntax error", error.lineno) from error
    except (RecursionError, MemoryError, SyntaxError) as error:
        # A SyntaxError is Python's, of the code that jinja2 makes: too many blocks in each other.
        raise TemplateFailed("it is nested too deeply, or leaves a loop where none is") from error
    except VALUE_ERRORS as error:
        raise TemplateFailed(f"{type(error).__name__}: {error}") from error


def render(
    source: str,
    variables: Mapping[str, Any],
    clock: Callable[[], datetime] = datetime.now,
    *,
    max_seconds: float = BASE_SECONDS,
) -> str:
    """The text a chat template makes of these variables.

    A run may take `max_seconds`, and longer with more than a million characters of input.

    Raises
    ------
    TemplateFailed
        If it does not compile, refuses the conversation, fails while it runs, or costs too much.
    """
    return run(compiled(source), variables, clock, max_seconds=max_seconds)


def run(
    template: jinja2.Template,
    variables: Mapping[str, Any],
    clock: Callable[[], datetime] = datetime.now,
    *,
    max_seconds: float = BASE_SECONDS,
) -> str:
    """The same of a template that is compiled already."""
    budget = Budget(weigh(variables, float("inf")), max_seconds)
    try:
        with spending(budget):
            text = template.render(**variables, strftime_now=strftime_now(clock))
            budget.made(text)
    except jinja2.TemplateError as error:
        raise TemplateFailed(error.message or type(error).__name__) from error
    except (RecursionError, MemoryError, OverflowError) as error:
        raise TemplateFailed(f"it needs too much ({type(error).__name__})") from error
    except VALUE_ERRORS as error:
        raise TemplateFailed(f"{type(error).__name__}: {error}") from error
    return _encodable(text)


def _encodable(text: str) -> str:
    """Half a pair of UTF-16 cannot be tokenised; a template's escapes may make one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
