"""A prompt with the names of columns in it.

Jinja in its sandbox; only `{{ ... }}` is special, so that LaTeX, JSON and code stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_nb.frames.errors import BadTemplate

if TYPE_CHECKING:
    from collections.abc import Mapping

# Marks that nobody writes: statements and comments are not for prompts of rows.
MARKS = {
    "block_start_string": "{%!",
    "block_end_string": "!%}",
    "comment_start_string": "{#!",
    "comment_end_string": "!#}",
    "keep_trailing_newline": True,
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template becomes with the values of a row."""

    text: str
    images: tuple[Any, ...] = ()


class Template:
    """A prompt with variables.

    Raises
    ------
    BadTemplate
        If it cannot be read.
    """

    def __init__(self, text: str) -> None:
        import jinja2.meta
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, **MARKS)
        try:
            found = jinja2.meta.find_undeclared_variables(environment.parse(text))
            self._template = environment.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise BadTemplate(f"the template, line {error.lineno}: {error.message}") from None
        self.names = tuple(sorted(found, key=text.index))

    def render(self, values: Mapping[str, Any]) -> Rendered:
        """Return the text with these values.

        Raises
        ------
        BadTemplate
            If an expression fails with them.
        """
        try:
            return Rendered(self._template.render(values))
        except Exception as error:  # whatever a value's own code raises
            raise BadTemplate(f"the template failed on this row: {error}") from error
