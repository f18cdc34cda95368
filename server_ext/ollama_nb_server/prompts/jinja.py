"""Runs a GGUF's own Jinja chat template in jinja2's sandbox, as transformers would.

Owns the environment and the functions that model authors expect; which template a model uses is
decided above.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ollama_nb_server.prompts.errors import TemplateFailed

MAX_TEMPLATE_CHARS = 1 << 20


class GenerationTag(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}` marks text for training; here it is plain."""

    tags = {"generation"}  # noqa: RUF012 - the type that jinja2 declares

    def parse(self, parser: Parser) -> list[jinja2.nodes.Node]:
        """Keep what stands between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


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
    return lambda form: clock().strftime(form)


@lru_cache(maxsize=64)
def compiled(source: str) -> jinja2.Template:
    """Compile a chat template once.

    Raises
    ------
    TemplateFailed
        If it does not parse; the line is given.
    """
    if len(source) > MAX_TEMPLATE_CHARS:
        raise TemplateFailed(f"it has {len(source)} characters, more than {MAX_TEMPLATE_CHARS}")
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationTag, "jinja2.ext.loopcontrols"],
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    try:
        return environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateFailed(error.message or "syntax error", error.lineno) from error
    except RecursionError as error:
        raise TemplateFailed("it is nested too deeply") from error


def render(
    source: str, variables: Mapping[str, Any], clock: Callable[[], datetime] = datetime.now
) -> str:
    """The text a chat template makes of these variables.

    Raises
    ------
    TemplateFailed
        If it does not compile, refuses the conversation, or fails while it runs.
    """
    template = compiled(source)
    try:
        return template.render(**variables, strftime_now=strftime_now(clock))
    except jinja2.TemplateError as error:
        raise TemplateFailed(error.message or type(error).__name__) from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        # Python's own errors, raised by what the template did with its values.
        raise TemplateFailed(f"{type(error).__name__}: {error}") from error
    except (RecursionError, MemoryError, OverflowError) as error:
        raise TemplateFailed(f"it needs too much ({type(error).__name__})") from error
