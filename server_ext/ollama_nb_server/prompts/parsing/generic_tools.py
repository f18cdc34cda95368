"""Ollama's parser for templates without one of their own: calls as JSON objects behind a tag.

Source: reference/ollama-models.md 7.2. Where Ollama's answer depends on how its text is cut, this
is the answer for a text that comes letter by letter; but once there was a call, the answer for a
text that comes at once: with a bare `{` or `[`, Ollama shows later calls as text, cut in halves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ollama_nb_server.prompts.parsing.generic_calls import ToolNames, arguments_in, object_in
from ollama_nb_server.prompts.parsing.json_scan import BracketScan, Span
from ollama_nb_server.prompts.parsing.parts import NOTHING, Call, Parts, Tool
from ollama_nb_server.prompts.parsing.sections import BLANKS, overlap
from ollama_nb_server.prompts.parsing.separators import without_separators

BARE = ("{", "[")


class ToolParser:
    """Looks for the tag, then for calls; what stands between calls and behind them is lost.

    Examples
    --------
    >>> parser = ToolParser("<tool_call>", (Tool("f"),))
    >>> parser.feed('Hi <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>')
    Parts(thinking='', content='Hi ', calls=(Call(name='f', arguments={'a': 1}, ...),), ...)
    """

    def __init__(self, tag: str, tools: Sequence[Tool]) -> None:
        self._tag, self._names = tag, ToolNames(tools)
        self._held = ""
        self._read: Callable[[], Parts] = self._look
        self._called = False
        self._brackets = BracketScan(*("[]" if tag == "[" else "{}"))
        self._begin()

    def feed(self, text: str) -> Parts:
        """What is certain now."""
        self._held += text
        return self._read()

    def end(self) -> Parts:
        """What is left when nothing more comes."""
        rest, self._held = self._held, ""
        if self._tag in BARE and (not self._called or closed(rest, self._tag)):
            return Parts(content=rest)
        return self._lost(rest)

    # --- states -----------------------------------------------------------------------------------

    def _look(self) -> Parts:
        at = self._held.find(self._tag)
        begun = at >= 0
        if not begun:
            at = len(self._held) - overlap(self._held, self._tag)
        content, self._held = self._held[:at], self._held[at:]
        if self._tag in BARE and content.strip(BLANKS):
            self._read = self._pass
            return Parts(content=content) + self._pass()
        if begun:
            self._read = self._call
            return Parts(content=content) + self._call()
        return Parts(content=content)

    def _call(self) -> Parts:
        if self._tag in BARE and not self._called:
            closed = self._brackets.next(self._held)
            call = self._next_call(closed.end if closed is not None else None)
            if call is not None:
                return call + self._call()
            if closed is not None:  # balanced brackets and no call: an answer like any other
                self._read = self._pass
                return self._pass()
            return NOTHING
        found = NOTHING
        while (call := self._next_call()) is not None:
            found += call
        return found

    def _pass(self) -> Parts:
        content, self._held = self._held, ""
        return Parts(content=content)

    # --- one call ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start over with what is held."""
        self._scan = BracketScan()
        self._object: Span | None = None
        self._stuck = False

    def _next_call(self, end: int | None = None) -> Parts | None:
        """The first call of what is held up to `end`, taken out of it."""
        text = self._held if end is None else self._held[:end]
        span = None if self._stuck else self._object_of(text)
        name = self._tool(text, span) if span is not None else None
        if span is None or name is None:
            return None
        found = object_in(text[span.start : span.end])
        arguments = arguments_in(found, name.group()) if found is not None else None
        if arguments is None:
            self._stuck = True  # Ollama finds this same object again, for ever
            return None
        return self._take(Call(name.group(), arguments), span, name)

    def _take(self, call: Call, span: Span, name: re.Match[str]) -> Parts:
        """Forget a call and what stands before it."""
        dropped = self._lost(around(self._held, span, name))
        self._held = self._held[max(name.end(), span.end - 1) :]  # the brace stays
        self._called = True
        self._begin()
        return Parts(calls=(call,)) + dropped

    def _object_of(self, text: str) -> Span | None:
        while self._object is None and (span := self._scan.next(text)) is not None:
            if object_in(text[span.start : span.end]) is not None:
                self._object = span
        return self._object

    def _tool(self, text: str, span: Span) -> re.Match[str] | None:
        """The name that an object goes with."""
        first = self._names.first(text)
        if first is None or first.end() <= span.end:
            return first
        return None if self._names.may_begin(text, first.start()) else first

    def _lost(self, text: str) -> Parts:
        return Parts(lost=without_separators(text, self._tag))


def closed(text: str, opens: str) -> bool:
    """Whether a bracket makes those of this kind balanced, as Ollama counts them."""
    closes = {"{": "}", "[": "]"}[opens]
    depth, quoted, escaped = 0, False, False
    for letter in text:
        if escaped or letter == "\\":
            escaped = not escaped
        elif letter == '"':
            quoted = not quoted
        elif not quoted and letter in (opens, closes):
            depth += 1 if letter == opens else -1
            if letter == closes and depth == 0:
                return True
    return False


def around(text: str, span: Span, name: re.Match[str]) -> str:
    """What stands around an object up to the name of its tool, which may stand behind it."""
    before, between = text[: span.start], text[span.end : name.start()]
    if name.end() <= span.start:
        before = before[: name.start()] + before[name.end() :]
    return before + between
