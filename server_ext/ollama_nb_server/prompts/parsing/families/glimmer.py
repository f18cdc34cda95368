"""Glimmer: messages to a recipient, which is the model itself, the user or a tool.

    to=self<|message|> thoughts <|eom|><|start|>assistant to=user<|message|> answer <|eot|>

The prompt ends with the first words of a header.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from ollama_nb_server.prompts.parsing.families.atem import (
    CALLS,
    CALLS_END,
    MESSAGE,
    AtemCall,
    call_of,
    name_in,
    resolved,
)
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, unless_off
from ollama_nb_server.prompts.parsing.parts import (
    NOTHING,
    Call,
    CheckedTool,
    OutputBroken,
    Parts,
    Situation,
    Tool,
)
from ollama_nb_server.prompts.parsing.sections import BLANKS, CallBroken, overlap

START, MESSAGE_END, TURN_END = "<|start|>", "<|eom|>", "<|eot|>"
BEGUN = f"{START}assistant"
ENDS = (MESSAGE_END, TURN_END)
HEAD = re.compile(rf"\s*(?:{re.escape(BEGUN)})?\s*(?:to=\S*)?\s*")


class _Kind(Enum):
    CONTENT = "the answer, or a call that was told to the user"
    THINKING = "thoughts"
    TOOL = "a call"


class GlimmerParser:
    """Takes text in, gives parts out as soon as it is certain what they are."""

    def __init__(self, situation: Situation) -> None:
        self._lossless = situation.lossless
        kind = CheckedTool if situation.lossless else Tool
        self._tools = tuple(kind(tool.name, tool.parameters) for tool in situation.tools)
        self._thinks = unless_off(situation)
        self._names = {tool.name.strip(BLANKS) for tool in situation.tools} - {""}
        recipients = ["self", "user", *self._names]
        self._headers = (
            f"{BEGUN}{MESSAGE}", *(f"{BEGUN} to={name}{MESSAGE}" for name in recipients)
        )  # fmt: skip
        self._held, self._told = "", False
        self._head, self._recipient, self._kind = "", "", _Kind.CONTENT
        self._read: Callable[[], Parts | None] = self._header

    def feed(self, text: str) -> Parts:
        """What is certain now."""
        self._held += text
        found = NOTHING
        try:
            while (parts := self._read()) is not None:
                found += parts
        except OutputBroken as error:
            raise OutputBroken(str(error), found) from error
        return found

    def end(self) -> Parts:
        """What is left when nothing more comes."""
        rest, self._held = self._held, ""
        if self._read == self._header:
            return Parts(content=rest.removeprefix(BEGUN))
        if self._kind is _Kind.TOOL or rest:
            return self._ended(rest, "")
        return NOTHING

    # --- states: each gives the next parts, or None to wait ---------------------------------------

    def _header(self) -> Parts | None:
        head, ended, after = self._held.partition(MESSAGE)
        if not ended:
            return None
        self._head, self._held, self._read = head, after, self._body
        head = head.removeprefix(BEGUN).strip(BLANKS)
        self._recipient = head.removeprefix("to=").strip(BLANKS)
        self._told = False
        self._kind = _Kind.CONTENT
        if self._recipient == "self":
            self._kind = _Kind.THINKING
        elif resolved(self._recipient, self._tools) in self._names:
            self._kind = _Kind.TOOL
        # A header is a tag, but not with words of an answer in it.
        odd = self._lossless and not HEAD.fullmatch(self._head)
        return Parts(content=self._head) if odd else NOTHING

    def _body(self) -> Parts | None:
        held = self._kind is _Kind.TOOL or self._may_be_call()
        since = 0
        if held:  # a message's end may stand in an argument
            closed = self._held.find(CALLS_END)
            since = closed + len(CALLS_END) if closed >= 0 else len(self._held)
        end = self._end(since)
        if end is not None:
            at, tag = end
            body, self._held = self._held[:at], self._held[at + len(tag) :]
            self._read = self._header
            return self._ended(body, tag)
        if held:
            return None
        keep = max(overlap(self._held, tag) for tag in (*ENDS, *self._headers))
        text, self._held = (
            self._held[: len(self._held) - keep],
            self._held[len(self._held) - keep :],
        )
        return self._text(text) if text else None

    def _end(self, since: int) -> tuple[int, str] | None:
        """Where a message ends, and the tag that ends it; another header needs none."""
        found = [(at, tag) for tag in ENDS if (at := self._held.find(tag, since)) >= 0]
        found += [(at, "") for one in self._headers if (at := self._held.find(one, since)) >= 0]
        return min(found, default=None)

    def _may_be_call(self) -> bool:
        """Whether an answer may be a call that was not sent to its tool."""
        if self._kind is not _Kind.CONTENT or self._told or not self._names:
            return False
        begun = self._held.lstrip(" \t\r\n")
        return CALLS.startswith(begun) or begun.startswith(CALLS)

    # --- what a text is ---------------------------------------------------------------------------

    def _text(self, text: str) -> Parts:
        if self._kind is _Kind.THINKING:
            return Parts(thinking=text) if self._thinks or self._lossless else NOTHING
        self._told = self._told or bool(text)
        return Parts(content=text)

    def _ended(self, body: str, tag: str) -> Parts:
        """What is left of a message at its end."""
        if self._kind is _Kind.TOOL:
            return self._call(body, tag)
        if self._kind is _Kind.CONTENT and not self._told and self._names:
            name = resolved(name_in(body), self._tools)
            if name in self._names:
                try:
                    return Parts(calls=(Call(name, call_of(body, self._tools, name).arguments),))
                except CallBroken:
                    return self._text(body)
        return self._text(body)

    def _call(self, body: str, tag: str) -> Parts:
        try:
            return Parts(calls=(self._checked(body),))
        except CallBroken as error:
            if self._lossless:
                return Parts(content=f"{self._head}{MESSAGE}{body}{tag}")
            raise OutputBroken(error.reason) from error

    def _checked(self, body: str) -> Call:
        """The call of a body; it must be the recipient's, unless nothing may be lost."""
        wanted = resolved(self._recipient, self._tools)
        try:
            call = call_of(body, self._tools, "" if self._lossless else wanted)
        except CallBroken as error:
            reason = f"parse Glimmer call to {self._recipient}: {error.reason}"
            raise CallBroken(reason) from error
        named = resolved(call.name, self._tools)
        if named not in self._names or (named != wanted and not self._lossless):
            names = f'"{self._recipient}" does not match ATEM invoke "{call.name}"'
            raise CallBroken(f"Glimmer recipient {names}")
        return Call(named, call.arguments)


GLIMMER = OutputFormat(
    GlimmerParser,
    (START, MESSAGE, MESSAGE_END, TURN_END),
    tools=True,
    thinking=True,
    calls=AtemCall(),
    # Behind a thought another message begins.
    thoughts=(f" to=self{MESSAGE}", f"{MESSAGE_END}{BEGUN}"),
)
