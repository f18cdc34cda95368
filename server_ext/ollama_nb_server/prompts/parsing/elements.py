"""Markup of a few tags in a text: everything that is none of them is text.

The errors are those of Go's encoding/xml, which Ollama's parsers pass on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


class Malformed(Exception):
    """The tags of a text do not fit each other."""


@dataclass(slots=True)
class Element:
    """A tag, the text that stands directly in it, and the elements in it."""

    tag: str
    name: str = ""
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        """The elements of this tag that stand directly in it."""
        return [child for child in self.children if child.tag == tag]


# What XML has no letters for.
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(text: str, tags: re.Pattern[str], root: str = "") -> Element:
    """The elements of a text.

    Parameters
    ----------
    tags
        Matches a tag, with the groups `opens`, `name` (or `named`) and `closes`.
    root
        The tag around the text. Without one, the text behind the first element is not looked at.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    open_ = [Element(root)]
    at = 0
    for found in tags.finditer(text):
        open_[-1].text += _legal(text, at, found.start())
        at = found.end()
        groups = found.groupdict()
        if groups["opens"]:
            name = groups.get("name") or groups.get("named") or ""
            child = Element(groups["opens"], name)
            open_[-1].children.append(child)
            open_.append(child)
        else:
            _close(open_, groups["closes"], _line(text, found.start()))
            if len(open_) == 1 and not root:
                return open_[0]
    open_[-1].text += _legal(text, at, len(text))
    if len(open_) > 1:
        ends = f"element <{open_[-1].tag}> closed by </{root}>" if root else "unexpected EOF"
        raise Malformed(f"XML syntax error on line {_line(text, len(text))}: {ends}")
    return open_[0]


def _close(open_: list[Element], tag: str, line: int) -> None:
    inner = open_[-1].tag
    if not inner:
        raise Malformed(f"XML syntax error on line {line}: unexpected end element </{tag}>")
    if inner != tag:
        raise Malformed(f"XML syntax error on line {line}: element <{inner}> closed by </{tag}>")
    open_.pop()


def _legal(text: str, start: int, end: int) -> str:
    if (found := ILLEGAL.search(text, start, end)) is not None:
        code = f"illegal character code U+{ord(found.group()):04X}"
        raise Malformed(f"XML syntax error on line {_line(text, found.start())}: {code}")
    return text[start:end]


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
