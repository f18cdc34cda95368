"""Prompts with variables: `{{ df.head() }}` becomes a table, `{{ figure }}` a picture.

Jinja's expressions in Jinja's sandbox; only `{{ ... }}` is special, so that LaTeX, JSON, TypeScript
and f-strings stay what they are. There are no statements: loops are Python's. `Template(text)` has
the `names` that it needs, and `.render(variables)` returns `Rendered(text, images)`.
"""

from __future__ import annotations

import builtins
import difflib
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.braces import OPEN, OURS, Expression, Odd, Piece, pieces
from ollama_nb.asking.prompt_tables import table
from ollama_nb.asking.prompt_values import written
from ollama_nb.errors import BadTemplate, NotText, OllamaNbError
from ollama_nb.pictures.picture import Picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What expressions may call beside the caller's own variables.
FUNCTIONS = (
    *("abs", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "range"),
    *("repr", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "type", "zip"),
)
LITERAL = """for literal braces write {{ "{{" }}"""
_BRACED = re.compile(r"""(?<![{\\$])\{([^\W\d]\w*)\}(?!\})""")
_F_STRING = re.compile(r"""\b[rR]?[fF][rR]?["']""")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt with its values in it, and the pictures that go with it."""

    text: str
    images: tuple[Picture, ...] = ()

    def __str__(self) -> str:
        return self.text


class Template:
    """A prompt with variables.

    Parameters
    ----------
    text
        With expressions in `{{ ... }}`.
    lenient
        For a text that may be pasted from anywhere: braces around what is no expression stay,
        unless they begin with a variable's name.

    Attributes
    ----------
    names : tuple of str
        The variables that it needs, in their order.

    Raises
    ------
    BadTemplate
        If it cannot be read.
    """

    def __init__(self, text: str, *, lenient: bool = False) -> None:
        import jinja2

        try:
            self._pieces: list[Piece] = (
                [text] if OPEN not in text else [*pieces(text, _environment())]
            )
        except jinja2.TemplateAssertionError as error:
            raise BadTemplate(f"the template: {error.message}") from None
        for piece in self._pieces:
            if isinstance(piece, Odd) and not lenient:
                raise _no_expression(piece)
        self._expressions = [one for one in self._pieces if isinstance(one, Expression)]
        self.names = tuple(
            dict.fromkeys(
                name
                for one in self._expressions
                for name in one.names
                if not (name in FUNCTIONS and name in one.called)
            )
        )

    def render(self, variables: Mapping[str, Any]) -> Rendered:
        """Return the text with these values.

        Raises
        ------
        BadTemplate
            If a variable is missing, or if an expression fails with them.
        """
        self._refuse_unknown(variables)
        images: list[Picture] = []
        texts = [_text(piece, variables, images) for piece in self._pieces]
        return Rendered("".join(texts), tuple(images))

    def _refuse_unknown(self, variables: Mapping[str, Any]) -> None:
        for one in self._expressions:
            for name in one.names:
                if name in self.names and name not in variables:
                    near = _near(name, variables)
                    raise BadTemplate(
                        f"line {one.line}, {{{{{one.source}}}}}: there is no variable "
                        f"{name!r}{near} ({LITERAL})"
                    )
        for odd in self._pieces:
            if isinstance(odd, Odd) and odd.first_name in variables:
                raise _no_expression(odd)


def render(text: str, variables: Mapping[str, Any] | None = None, /, **named: Any) -> Rendered:
    """Put values into a prompt's `{{ ... }}`, for `generate()` and `chat()`.

    Those take texts literally; this says that one is a template.

    Parameters
    ----------
    text
        With expressions of Jinja in `{{ ... }}`. Frames become Markdown tables (the first 50 rows,
        about 2,000 tokens), exceptions tracebacks, a `Path` the text of its file (up to 100 kB),
        figures and PIL images `[image 1]` and a picture that goes with the prompt; all else str().
    variables, named
        The values by name; `globals()` for all of a notebook.

    Returns
    -------
    Rendered
        `.text` and `.images`, which `generate()` and `chat()` take as a prompt.

    Raises
    ------
    BadTemplate
        If the text cannot be read, a variable is missing, or an expression fails.

    Examples
    --------
    >>> render("{{ n }} birds, {n} too", n=3).text
    '3 birds, {n} too'
    """
    if not isinstance(text, str):
        raise NotText("the template", text)
    return Template(text).render({**(variables or {}), **named})


def text_alone(value: str | Rendered, where: str) -> str:
    """Return the text of what cannot have pictures.

    Raises
    ------
    BadTemplate
        If it has some.
    """
    if isinstance(value, Rendered) and value.images:
        raise BadTemplate(f"{where} has pictures ({value.images[0].name}): only a prompt can")
    return str(value) if isinstance(value, Rendered) else value


def braced_variables(text: str, variables: Mapping[str, Any]) -> list[str]:
    """Return the variables that a text names in single braces, outside of f-strings."""
    lines = [line for line in text.splitlines() if not _F_STRING.search(line)]
    named: Iterable[str] = (name for line in lines for name in _BRACED.findall(line))
    return [name for name in dict.fromkeys(named) if name in variables]


def _text(piece: Piece, variables: Mapping[str, Any], images: list[Picture]) -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Odd):
        return ""  # its braces are in the literal text around it
    value = written(_value(piece, variables), piece.source.strip())
    if not isinstance(value, Picture):
        return value
    if value not in images:
        images.append(value)
    return f"[image {images.index(value) + 1}]"


def _value(one: Expression, variables: Mapping[str, Any]) -> Any:
    import jinja2

    try:
        value = one.value({name: variables[name] for name in one.names if name in variables})
        return str(value) if isinstance(value, jinja2.Undefined) else value  # str() of it raises
    except OllamaNbError:
        raise
    except Exception as error:  # whatever a value's own code raises
        sentence = str(error) if isinstance(error, jinja2.TemplateError) else _told(error)
        raise BadTemplate(f"line {one.line}, {{{{{one.source}}}}}: {sentence}") from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _no_expression(odd: Odd) -> BadTemplate:
    begin = odd.source.strip().split("\n", 1)[0][:40]
    return BadTemplate(f"line {odd.line}: {{{{ {begin} is no expression ({odd.why}); {LITERAL}")


def _near(name: str, known: Iterable[str]) -> str:
    shown = [one for one in known if not one.startswith("_")]
    near = difflib.get_close_matches(name, shown, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@cache
def _environment() -> Any:
    """Make Jinja's sandbox; a name that there is not is an error that says what was meant."""
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Missing(jinja2.StrictUndefined):
        """Says which attribute is nearly the one."""

        @property
        def _undefined_message(self) -> str:
            said = super()._undefined_message
            if self._undefined_hint or not isinstance(self._undefined_name, str):
                return said
            return said + _near(self._undefined_name, dir(self._undefined_obj))

    environment = ImmutableSandboxedEnvironment(undefined=Missing)
    environment.globals = {OURS + name: getattr(builtins, name) for name in FUNCTIONS}
    environment.filters["table"] = table
    return environment
