"""Texts that a vocabulary reserves for special tokens, and where they stand in other texts.

Which of the vocabulary's texts these are is decided here; what is done about them, in `literals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import groupby, takewhile

# A user-defined token is reserved if it looks like a tag. Gemma's vocabulary has user-defined ones
# for blanks and for HTML, by which it reads ordinary texts, and other vocabularies have words.
TAG = re.compile(r"\u2581?[<\[\u3008][^\s<>\[\]\u3008\u3009]+[>\]\u3009]")
HTML = re.compile(
    r"</?(a|abbr|b|blockquote|body|br|caption|center|code|dd|del|div|dl|dt|em|font|footer|form|h[1-6]"
    r"|head|header|hr|html|i|img|input|ins|kbd|label|li|link|main|mark|meta|nav|ol|option|p|pre|q|s"
    r"|script|section|select|small|span|strong|style|sub|sup|table|tbody|td|textarea|tfoot|th|thead"
    r"|title|tr|u|ul)>"
)


MAX_LETTERS = 100  # of a reserved text; the longest that we know has 40
NEVER = r"(?!)"


class TextFinder:
    """Finds any of many texts, thousands in some vocabularies, in one pass."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = frozenset(text for text in texts if 0 < len(text) <= MAX_LETTERS)
        self._longest = max(map(len, self.texts), default=0)
        self._firsts = re.compile("|".join({re.escape(text[0]) for text in self.texts}) or NEVER)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """A first letter, if what must follow it does: so no other text's beginning is passed."""
        tails: dict[str, list[str]] = {}
        for text in sorted(self.texts):
            tails.setdefault(text[0], []).append(text[1:])
        heads = (f"{re.escape(first)}(?=({_any_of(rest)}))" for first, rest in tails.items())
        return re.compile("|".join(heads) or NEVER)

    def starts(self, text: str) -> Iterator[tuple[int, int]]:
        """Every place where one begins, and the length of the longest that does."""
        for found in self._pattern.finditer(text):
            yield found.start(), _length(found)

    def length_at(self, text: str, at: int) -> int:
        """The length of the longest one that stands at a place; 0 if none does."""
        found = self._pattern.match(text, at)
        return _length(found) if found else 0

    def may_find(self, text: str) -> bool:
        """Whether a text has the first letter of any: few texts do, and this is soon told."""
        return self._firsts.search(text) is not None

    def begun_at_end(self, text: str) -> list[int]:
        """Where the end of a text is the beginning of one, which what follows might complete."""
        least = max(len(text) - self._longest + 1, 0)
        places = (found.start() for found in self._firsts.finditer(text, least))
        return [at for at in places if self._begins(text[at:])]

    def _begins(self, part: str) -> bool:
        return any(len(text) > len(part) and text.startswith(part) for text in self.texts)


def _length(found: re.Match[str]) -> int:
    return 1 + len(found[found.lastindex or 0])


def _any_of(texts: list[str]) -> str:
    """A pattern for the longest of some texts, which are in order; no letter is read twice."""
    ends, rest = not texts[0], texts[1:] if not texts[0] else texts
    if not rest:
        return ""
    branches = []
    for _, alike in groupby(rest, key=lambda text: text[0]):
        group = list(alike)
        shared = _beginning(group[0], group[-1])
        branches.append(re.escape(shared) + _any_of([text[len(shared) :] for text in group]))
    return f"(?:{'|'.join(branches)})" + ("?" if ends else "")


def _beginning(first: str, last: str) -> str:
    """What all texts between these two, in their order, begin with."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return first[: sum(1 for _ in pairs)]


class ReservedTexts:
    """The texts that nobody but a template may make special tokens of.

    Attributes
    ----------
    control
        Of control tokens.
    all
        Of these, and of those user-defined ones that look like tags.
    user_defined
        The latter: a tokenizer makes tokens of these whatever it is told.
    """

    def __init__(self, control: Iterable[str], user_defined: Iterable[str]) -> None:
        tags = [text for text in user_defined if TAG.fullmatch(text) and not HTML.fullmatch(text)]
        self.control = frozenset(text for text in control if text.strip())
        self.all = TextFinder([*self.control, *tags])
        self.user_defined = TextFinder(tags)


@lru_cache(maxsize=16)
def reserved(control: tuple[str, ...], user_defined: tuple[str, ...]) -> ReservedTexts:
    """Those of a vocabulary, made once."""
    return ReservedTexts(control, user_defined)


@lru_cache(maxsize=64)
def reserved_from_assistant(texts: ReservedTexts, tags: frozenset[str]) -> TextFinder:
    """Those that an assistant does not write either: all but its family's tags.

    User-defined ones are not among them: families write their tags with these.
    """
    return TextFinder(texts.control - tags)
