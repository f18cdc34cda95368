"""A stretch of a model's text between tags, declared as data: what it is, and what ends it.

How texts are cut by them is `sections`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ollama_nb_server.prompts.parsing.parts import Call, Tool

# What Go's unicode.IsSpace takes for a blank: not quite what Python does.
BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


class Kind(Enum):
    """What the text of a section is."""

    CONTENT = "the answer"
    THINKING = "thoughts"
    CALLS = "the body of one or several calls, read as a whole"
    DROPPED = "nothing that anybody is told"
    UNWANTED = "thoughts that nobody asked for"


MAX_WAITS = 64  # closing tags that a call may have in its values: each costs a look at all of it


class CallBroken(Exception):
    """The body of a call cannot be read; `incomplete` if the tag behind it may belong to it."""

    def __init__(self, reason: str = "", *, incomplete: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.incomplete = reason, incomplete


# Reads the text between the tags of a call.
Reader = Callable[[str, Sequence[Tool]], Sequence[Call]]


class Broken(Enum):
    """What becomes of a call that cannot be read, where losses are not to be avoided."""

    RAISED = "the answer ends with an error"
    DROPPED = "nobody hears of it"
    TOLD = "it is content"
    DEAFENING = "nobody hears of it, nor of anything behind it"


class Rest(Enum):
    """What becomes of what is held back, half a tag and blanks, where an answer ends."""

    TRIMMED = "it is told but for its blanks"
    KEPT = "it is told"
    LOST = "nobody hears of it"


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text between tags.

    Attributes
    ----------
    kind
        What its text is.
    exits
        The tags that end it, each with the name of the section behind it.
    read
        How calls are read, if it holds calls.
    broken
        What becomes of calls that cannot be read.
    opens
        A tag that some models write once more at the beginning, though the prompt has it.
    skips_blanks
        Whether blanks at its beginning belong to the tag before it.
    holds_blanks
        Whether blanks before a tag belong to the tag, and those at the very end to nobody.
    leads
        The tags that count only at its beginning, each with the name of the section behind it.
    ends
        Where calls end that no tag ends: the length of a body, 0 while it goes on; it is told how
        much of the body it has seen before. The section behind it is `exits[""]`.
    unclosed
        Whether calls may be read that the answer ends in without their closing tag.
    read_unclosed
        How they are read, if not as others; what they raise counts.
    drops
        The exits of calls that show that they are broken.
    whole
        Whether a closing tag may stand behind a body, or belongs to one of its values. Asked only
        where nothing may be lost, before the body is read.
    exact
        Whether nothing but calls stands in a body. Asked only there too.
    keeps_before
        The exits before which blanks are told, though others take them.
    rest
        What becomes of what is held back where the answer ends.
    """

    kind: Kind
    exits: Mapping[str, str]
    read: Reader | None = None
    broken: Broken = Broken.RAISED
    opens: str = ""
    skips_blanks: bool = True
    holds_blanks: bool = True
    leads: Mapping[str, str] = field(default_factory=dict)
    ends: Callable[[str, int], int] | None = None
    unclosed: bool = False
    read_unclosed: Reader | None = None
    drops: frozenset[str] = frozenset()
    whole: Callable[[str], bool] | None = None
    exact: Callable[[str], bool] | None = None
    keeps_before: frozenset[str] = frozenset()
    rest: Rest = Rest.TRIMMED


SWALLOWED = Section(Kind.DROPPED, {}, skips_blanks=False, holds_blanks=False)
