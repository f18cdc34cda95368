"""Forms: letters with holes in braces, such as `<function={name}>`, for reading and for writing.

Blanks of a form are written as they stand; where a text is read, any blanks will do for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from ollama_nb_server.prompts.parsing.shapes import Repeat, Shape, Tag, Text, Until

MAX_CALLS = 8  # that a bound model writes between two tags: a small one finds no end otherwise
HOLE = re.compile(r"\{([a-z]+)\}")
BLANKS = re.compile(r"(\\s\*)+")
# No two of these next to each other may take the same blanks: hostile texts would cost minutes.
WORDS = r"\S+?(?: \S+?)*?"
HOLES: Mapping[str, str] = {
    "name": WORDS,
    "key": WORDS,
    "id": r"\S*?",
    "number": r"[0-9]+",
    "kind": r"[a-z]*",
    "value": r".*?",
}


@lru_cache(maxsize=256)
def pattern(form: str, ahead: tuple[str, ...] = ()) -> re.Pattern[str]:
    """What fits in a form: a group for each hole. `ahead`: the forms of what must follow.

    Examples
    --------
    >>> pattern("<function={name}>").match("<function=f >").group("name")
    'f'
    """
    following = f"\\s*(?={'|'.join(map(_expression, ahead))})" if ahead else ""
    return re.compile(BLANKS.sub(r"\\s*", r"\s*" + _expression(form) + following), re.DOTALL)


def _expression(form: str) -> str:
    """A form as a regular expression, without the blanks before it; the empty one is the end."""
    if not form:
        return r"\Z"
    parts = HOLE.split(form)
    last = len(parts) - 1
    pieces = [
        f"(?P<{part}>{HOLES[part]})"
        if i % 2
        else _letters(part, parts[max(i - 1, 0)], parts[min(i + 1, last)])
        for i, part in enumerate(parts)
    ]
    return "".join(pieces).removeprefix(r"\s*")


def _letters(text: str, hole_before: str, hole_behind: str) -> str:
    """Any blanks for blanks, and around tags; but next to a value only those that are written."""
    words = r"\s*".join(map(re.escape, text.split()))
    if not words:
        return r"\s*" if text else ""
    starts = r"\s*" if text[0].isspace() or text[0] in "<>" else ""
    if hole_before == "value":
        starts = r"\n?" * (len(text) - len(text.lstrip("\n")))
    ends = r"\s*" if text[-1].isspace() else ""
    if hole_behind == "value":
        ends = r"\n?" * (len(text) - len(text.rstrip("\n")))
    return starts + words + ends


def letters(text: str, marks: Sequence[str]) -> list[Shape]:
    """These letters, `marks` in them as control tokens where the vocabulary has them."""
    if not text:
        return []
    known = sorted(filter(None, marks), key=len, reverse=True)
    if not known:
        return [Text(text)]
    pieces = re.split(f"({'|'.join(map(re.escape, known))})", text)
    return [Tag(piece) if piece in known else Text(piece) for piece in pieces if piece]


def closing(tag: str, marks: Sequence[str]) -> list[Shape]:
    """A closing tag: one control token, or letters with some in them; none if it is empty."""
    if any(mark in tag for mark in marks):
        return letters(tag, marks)
    return [Tag(tag)] if tag else []


def text_until(tail: str, marks: Sequence[str]) -> list[Shape]:
    """Any text up to a tag, and the tag: its blanks before are not asked for, those behind are.

    A tag may begin with letters, which the text may have too, and have a control token in it.
    """
    _, tag, blanks = tail.partition(tail.strip())
    first, *rest = letters(tag, marks)
    behind = letters(blanks, marks)
    match first:
        case Text(text) if rest:
            return [Repeat(Until(text)), *rest, *behind]
        case Text(text) | Tag(text):
            return [Until(text), *rest, *behind]
    raise AssertionError(f"neither letters nor a token: {first}")


def filled(form: str, holes: Mapping[str, Shape | str], marks: Sequence[str]) -> list[Shape]:
    """A form with something in each hole."""
    found: list[Shape] = []
    run = ""
    for i, part in enumerate(HOLE.split(form)):
        filling = part if i % 2 == 0 else holes[part]
        if isinstance(filling, str):
            run += filling
        else:
            found += [*letters(run, marks), filling]
            run = ""
    return found + letters(run, marks)
