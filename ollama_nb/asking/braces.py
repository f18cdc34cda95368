"""Which `{{ ... }}` of a text are expressions, and which are braces of LaTeX, JSX, Go or JSON.

Jinja's grammar decides, one pair of braces at a time; nothing else in a text is special.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OPEN, CLOSE = "{{", "}}"
OURS = "v_"  # begins the names of variables and functions in compiled expressions
MOST_ENDS = 12  # an expression may hold `}}` itself, in a text or in nested dicts
_FIRST_NAME = re.compile(r"\s*([^\W\d]\w*)")


@dataclass(frozen=True, slots=True)
class Expression:
    """A `{{ ... }}` with something to compute."""

    source: str
    line: int
    names: tuple[str, ...]
    called: frozenset[str]  # those of the names that are only called, as in len(df)
    value: Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Odd:
    """A `{{ ... }}` that is no expression, and why; its text stands in the pieces as it is."""

    source: str
    line: int
    why: str

    @property
    def first_name(self) -> str | None:
        """The name that it begins with: a variable there means that an expression was meant."""
        found = _FIRST_NAME.match(self.source)
        return found[1] if found else None


Piece = str | Expression | Odd


def pieces(text: str, environment: Any) -> Iterator[Piece]:
    """Cut a text into what is literal and what is computed.

    Raises
    ------
    jinja2.TemplateAssertionError
        For a filter or a test that there is not.
    """
    done = place = 0
    while (begin := text.find(OPEN, place)) >= 0:
        line = text.count("\n", 0, begin) + 1
        found, end = _expression(text, begin, line, environment)
        place = begin + 1
        if isinstance(found, Odd):
            if not text.startswith(OPEN, place):  # of {{{ name }}} the inner pair is meant
                yield found
        elif found is not None:
            yield text[done:begin]
            yield found
            done = place = end
    yield text[done:]


def _expression(
    text: str, begin: int, line: int, environment: Any
) -> tuple[Expression | Odd | None, int]:
    """Return what begins here and where it ends; None for braces around constants, as in {{2}}."""
    import jinja2

    odd = None
    end = begin
    for _ in range(MOST_ENDS):
        end = text.find(CLOSE, max(end + 1, begin + len(OPEN)))
        if end < 0:
            break
        source = text[begin + len(OPEN) : end]
        try:
            return _read(source, line, environment), end + len(CLOSE)
        except jinja2.TemplateAssertionError:
            raise
        except jinja2.TemplateSyntaxError as error:
            odd = odd or Odd(source, line, error.message or "")
    return odd or Odd(text[begin + len(OPEN) :], line, "its }} is missing"), begin


def _read(source: str, line: int, environment: Any) -> Expression | None:
    """Read one expression; its names are those that a caller must have."""
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.parser import Parser

    parser = Parser(environment, source, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        raise TemplateSyntaxError("there is more behind the expression", line)
    if not _has_names(tree):
        word = tree.value if isinstance(tree, nodes.Const) else None
        is_escape = word in (OPEN, CLOSE)
        return Expression(source, line, (), frozenset(), lambda _: word) if is_escape else None
    whole = nodes.Output([tree])
    calls = [call.node for call in whole.find_all(nodes.Call) if isinstance(call.node, nodes.Name)]
    names = [node for node in whole.find_all(nodes.Name) if not any(node is call for call in calls)]
    only_called = {call.name for call in calls} - {node.name for node in names}
    there = dict.fromkeys(node.name for node in whole.find_all(nodes.Name))
    value = _compiled(whole, environment)
    return Expression(source, line, tuple(there), frozenset(only_called), value)


def _compiled(whole: Any, environment: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Compile an expression under names that Jinja's own code has no use for, as for `self`."""
    from jinja2 import nodes
    from jinja2.environment import TemplateExpression

    for node in whole.find_all(nodes.Name):
        node.name = OURS + node.name
    body = nodes.Assign(nodes.Name("result", "store"), whole.nodes[0], lineno=1)
    template = environment.from_string(nodes.Template([body], lineno=1))
    expression = TemplateExpression(template, undefined_to_none=False)
    return lambda values: expression({OURS + name: value for name, value in values.items()})


def _has_names(tree: Any) -> bool:
    from jinja2 import nodes

    return isinstance(tree, nodes.Name) or tree.find(nodes.Name) is not None
