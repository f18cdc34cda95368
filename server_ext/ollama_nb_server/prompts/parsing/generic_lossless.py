"""The generic parser for requests with a `tool_choice`: nothing that a model wrote is lost.

Unlike Ollama's, it takes calls anywhere in a text. Whatever turns out to be no call of a tool that
was offered is content, with the tags around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ollama_nb_server.prompts.parsing.generic_calls import ToolNames, arguments_in, object_in
from ollama_nb_server.prompts.parsing.json_scan import BracketScan, Span
from ollama_nb_server.prompts.parsing.parts import NOTHING, Call, Parts, Tool
from ollama_nb_server.prompts.parsing.sections import BLANKS, overlap
from ollama_nb_server.prompts.parsing.separators import (
    closings,
    separator,
    tail,
    without_separators,
)


class LosslessToolParser:
    """Looks for the tag, an object behind it, and what may stand between two calls.

    Examples
    --------
    >>> parser = LosslessToolParser("<tool_call>", (Tool("f"),))
    >>> parser.feed('<tool_call>{"name": "f", "arguments": {}}</tool_call> Done.') + parser.end()
    Parts(thinking='', content='Done.', calls=(Call(name='f', arguments={}, id=''),), lost='')
    """

    def __init__(self, tag: str, tools: Sequence[Tool]) -> None:
        self._tag, self._names = tag, ToolNames(tools)
        self._held, self._kept = "", ""
        self._answered = False
        self._scan = BracketScan()
        self._read: Callable[[], Parts | None] = self._look

    def feed(self, text: str) -> Parts:
        """What is certain now."""
        self._held += text
        found = NOTHING
        while (parts := self._read()) is not None:
            found += parts
        return found

    def end(self) -> Parts:
        """What is left when nothing more comes."""
        if self._read == self._behind:
            self._held = self._held[self._tail(self._held) :]
        rest, self._held, self._kept = self._kept + self._held, "", ""
        return Parts(content=rest)

    # --- states: each gives the next parts, or None to wait ---------------------------------------

    def _look(self) -> Parts | None:
        """For the tag; blanks before it belong to it."""
        at = self._held.find(self._tag)
        begun = at >= 0
        if not begun:
            at = len(self._held) - overlap(self._held, self._tag)
        text = self._held[:at].rstrip(BLANKS)
        if not begun:
            self._held = self._held[len(text) :]
            return self._content(text) if text else None
        self._kept, self._held = self._held[len(text) : at], self._held[at:]
        self._expect()
        return self._content(text)

    def _call(self) -> Parts | None:
        """For an object; what is held begins with a tag."""
        if not self._may_be_call():
            return self._give_up(1)
        span = self._scan.next(self._held)
        closes = self._closing(span)
        if closes is not None:
            return self._give_up(closes)
        if span is None:
            return None
        found = self._call_of(span)
        if found is None:
            return self._give_up(span.end)
        call, before = found
        said = without_separators(before, self._tag)
        blanks = self._kept if self._answered else ""
        self._held, self._kept = self._held[span.end :], ""
        self._read = self._behind
        return self._content(blanks + said) + Parts(calls=(call,))

    def _behind(self) -> Parts | None:
        """For another call, and for what may stand between two of them or behind the last."""
        rest = self._held
        while rest and not self._begins_call(rest):
            if self._may_go_on(rest):
                return None
            found = separator(self._tag).match(rest)
            if found is None:
                self._held = self._held[self._tail(self._held) :]
                self._read = self._look
                return NOTHING
            rest = rest[found.end() :]
        if not rest:
            return None
        self._held = rest
        self._expect()
        return NOTHING

    # --- what a text is ---------------------------------------------------------------------------

    def _expect(self) -> None:
        self._scan, self._read = BracketScan(), self._call

    def _content(self, text: str) -> Parts:
        self._answered = self._answered or bool(text.strip(BLANKS))
        return Parts(content=text)

    def _tail(self, text: str) -> int:
        """Length of what closes a call."""
        found = tail(self._tag).match(text)
        return found.end() if found is not None else 0

    def _may_be_call(self) -> bool:
        """Whether an object may still come: a bare `[` is a bracket like any other."""
        return self._tag != "[" or self._held[1:].lstrip(BLANKS)[:1] in ("", "{")

    def _begins_call(self, text: str) -> bool:
        if text.startswith(("{", self._tag)):
            return True
        name = self._names.first(text)
        if name is None or name.start() > 0:
            return False
        return text[name.end() :].lstrip(BLANKS).startswith(BEHIND_NAMES)

    def _may_go_on(self, text: str) -> bool:
        """Whether a text may become a separator or the name before a call."""
        tags = (self._tag, *closings(self._tag), "```json")
        if any(tag.startswith(text) and tag != text for tag in tags) or HALF_TAG.fullmatch(text):
            return True
        if self._names.may_begin(text, 0):
            return True
        name = self._names.first(text)
        if name is None or name.start() > 0:
            return False
        after = text[name.end() :].lstrip(BLANKS)
        return any(begins.startswith(after) for begins in BEHIND_NAMES)

    def _closing(self, span: Span | None) -> int | None:
        """Where a closing tag ends that stands before any object."""
        before = self._scan.start if span is None else span.start
        text = self._held if before is None else self._held[:before]
        ends = [at + len(tag) for tag in closings(self._tag) if (at := text.find(tag)) >= 0]
        return min(ends, default=None)

    def _call_of(self, span: Span) -> tuple[Call, str] | None:
        """The call that an object is, and what else stands before it."""
        found = object_in(self._held[span.start : span.end])
        if found is None:
            return None
        before, name = self._held[: span.start], found.get("name")
        if "name" not in found:
            first = self._names.first(before)
            if first is None:
                name = next((key for key in found if key in self._names), None)
            else:
                name, before = first.group(), before[: first.start()] + before[first.end() :]
        if not isinstance(name, str) or name not in self._names:
            return None
        arguments = arguments_in(found, name)
        return (Call(name, arguments), before) if arguments is not None else None

    def _give_up(self, end: int) -> Parts:
        """What is held up to here is no call."""
        text = self._kept + self._held[:end]
        self._held, self._kept = self._held[end:], ""
        self._read = self._look
        return self._content(text)


# What may stand between the name of a tool and its arguments.
BEHIND_NAMES = ("{", "<|", "<\uff5c", "[", "```")
HALF_TAG = re.compile(r"<(?:\|[^|<>]{0,40}\|?|\uff5c[^\uff5c<>]{0,40}\uff5c?)?")
