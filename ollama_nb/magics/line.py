"""Read a magic's line: options first, then a prompt taken literally, then `-> name`.

Which options there are is declared with the magics; this module only cuts the line up.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ollama_nb.errors import MagicUsage

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

# One word of the line: a quoted text, name="quoted text", or anything up to a blank.
_WORD = re.compile(r"""\s*((?:[^\s"']*)(?:"[^"]*"|'[^']*')|\S+)""")
_BINDING = re.compile(r"(?:^|\s)->\s*(?P<name>[^\W\d]\w*)\s*$")


@dataclass(frozen=True, slots=True)
class Line:
    """A magic's line, understood."""

    options: Namespace
    text: str
    bind: str | None


def read(line: str, parser: ArgumentParser) -> Line:
    r"""Cut up a magic's line.

    Options stand at the beginning; the first word that is none begins the text, which may hold
    quotes and braces of any kind. `--` ends the options, for a text that begins with a dash.

    Raises
    ------
    MagicUsage
        For an unknown option, a missing or wrong value, a name that cannot be one.
    """
    rest, bind = _split_binding(line)
    words, text = _split_options(rest, parser)
    return Line(_checked(parser, words), text, bind)


def parsed(line: str, parser: ArgumentParser) -> Namespace:
    """Read the line of a magic that takes no text, only words and options in any order.

    Raises
    ------
    MagicUsage
        As for `read`.
    """
    words = [_unquoted(found[1]) for found in _WORD.finditer(line)]
    return _checked(parser, words, parser.parse_intermixed_args)


def _checked(
    parser: ArgumentParser,
    words: list[str],
    parse: Callable[[list[str]], Namespace] | None = None,
) -> Namespace:
    try:
        return (parse or parser.parse_args)(words)
    except UsageError as error:
        raise MagicUsage(f"{error}; %{parser.prog}? shows the options") from None


def _split_binding(line: str) -> tuple[str, str | None]:
    if found := _BINDING.search(line):
        return line[: found.start()], found["name"]
    if line.rstrip().endswith("->"):
        raise MagicUsage("-> needs the name of a variable after it")
    return line, None


def _split_options(line: str, parser: ArgumentParser) -> tuple[list[str], str]:
    """Return the words of the options, and what follows them."""
    words: list[str] = []
    values_due = 0
    place = 0
    while found := _WORD.match(line, place):
        word = found[1]
        if word == "--" and not values_due:
            return words, line[found.end() :].strip()
        if not values_due and not word.startswith("-"):
            _refuse_loose_value(words, word, parser)
            break
        values_due = values_due - 1 if values_due else _num_values(word, parser)
        words.append(_unquoted(word))
        place = found.end()
    return words, line[place:].strip()


def _num_values(word: str, parser: ArgumentParser) -> int:
    """Return how many words belong to an option (none where `--name=value` holds it)."""
    action = _action(word, parser)
    return 0 if action is None or action.nargs in (0, "?") else 1


def _action(word: str, parser: ArgumentParser) -> Any:
    """Return the option that a word is or, as argparse has it, begins: `--temp`; None if none."""
    actions: dict[str, Any] = parser._option_string_actions
    if word in actions or not word.startswith("--"):
        return actions.get(word)
    begun = {id(actions[name]): actions[name] for name in actions if name.startswith(word)}
    return next(iter(begun.values())) if len(begun) == 1 else None


def _refuse_loose_value(words: list[str], word: str, parser: ArgumentParser) -> None:
    """Ask what is meant where a text begins with what could be the value of the option before it.

    `--think 200` is not `--think=200`, and its 200 would be taken for the prompt.

    Raises
    ------
    MagicUsage
    """
    option = words[-1] if words else ""
    action = _action(option, parser)
    if action is None or action.nargs != "?":
        return
    try:
        action.type(_unquoted(word))
    except ArgumentTypeError:
        return
    raise MagicUsage(
        f"write {option}={word} without a blank; a text that begins with {word!r} goes behind --, "
        f"as in {option} -- {word}"
    )


def _unquoted(word: str) -> str:
    r"""Take the quotes off: `"a b"` and `stop="a b"` alike.

    >>> _unquoted('stop="a b"')
    'stop=a b'
    """
    found = re.fullmatch(r"""([^\s"']*)(["'])(.*)\2""", word, re.DOTALL)
    return found[1] + found[3] if found else word
