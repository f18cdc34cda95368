"""Harmony, the format of gpt-oss: messages with a header that says what each of them is.

    <|start|>assistant<|channel|>analysis<|message|> thoughts <|end|>
    <|start|>assistant<|channel|>final<|message|> answer

The prompt ends with the first words of a header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing import gojson, shapes
from ollama_nb_server.prompts.parsing.harmony_names import harmony_names
from ollama_nb_server.prompts.parsing.output_format import OutputFormat
from ollama_nb_server.prompts.parsing.parts import (
    NOTHING,
    Call,
    OutputBroken,
    Parts,
    Situation,
    Tool,
)
from ollama_nb_server.prompts.parsing.sections import BLANKS, CallBroken, overlap
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

START, END, MESSAGE = "<|start|>", "<|end|>", "<|message|>"
CHANNEL, CONSTRAIN, CALL_END = "<|channel|>", "<|constrain|>", "<|call|>"
BEGUN = f"{START}assistant"
ANALYSIS, COMMENTARY, FINAL = "analysis", "commentary", "final"
NAMESPACE = "functions."
HEAD = re.compile(
    r"\s*(?:assistant|tool|user|system)?(?:\s*to=[\w.$-]+)?"
    r"(?:\s*<\|channel\|>\s*(?:analysis|commentary|final))?(?:\s*to=[\w.$-]+)?"
    r"(?:\s*<\|constrain\|>\w*|\s+(?:json|code))?\s*"
)
WORD = re.compile(f"[^{re.escape(BLANKS)}]*")


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a message."""

    channel: str = ""
    recipient: str = ""


def header(text: str) -> Header:
    """What a header says.

    Examples
    --------
    >>> header("assistant<|channel|>commentary to=functions.f <|constrain|>json")
    Header(channel='commentary', recipient='functions.f')
    """
    text = text.replace(CONSTRAIN, f" {CONSTRAIN}", 1)
    before, _, after = text.partition(CHANNEL)
    channel = WORD.match(after).group()  # type: ignore[union-attr]  # it matches nothing too
    # The role comes first; a recipient may stand in its place or behind it.
    words = (before + after[len(channel) :]).split()[:2]
    recipients = (word.removeprefix("to=") for word in words if word.startswith("to="))
    return Header(channel, next(filter(None, recipients), ""))


def _first_word(text: str) -> str:
    words = text.split(maxsplit=1)
    return words[0] if words else ""


@dataclass(frozen=True, slots=True)
class HarmonyCall:
    """A message to a tool: the header names it, the body is its arguments."""

    opens: str = f"{CHANNEL}{COMMENTARY} to={NAMESPACE}"
    closes: str = CALL_END

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a header's end and a body."""
        head, _, arguments = body.partition(MESSAGE)
        return [call_of(_first_word(head), arguments, tools)]

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any of the tools, by the name that the prompt has for it."""
        names = harmony_names(tool.name for tool in tools)
        head = sequence(" ", Tag(CONSTRAIN), "json", Tag(MESSAGE))
        calls = (sequence(name, head, tool.shape) for name, tool in zip(names, tools, strict=True))
        return sequence(shapes.Choice(tuple(calls)), Tag(self.closes))


def call_of(recipient: str, body: str, tools: Sequence[Tool]) -> Call:
    """The call that a message is."""
    body, _, behind = body.partition(CALL_END)
    if behind.strip(BLANKS):
        raise CallBroken("text behind a tool call")
    try:
        found = gojson.decode(body)
    except ValueError as error:
        raise CallBroken(f"error parsing tool call: raw='{body}', err={error}") from error
    if not isinstance(found, dict | None):
        raise CallBroken(f"error parsing tool call: raw='{body}', err=arguments are no object")
    written = recipient.removeprefix(NAMESPACE)
    offered = [tool.name for tool in tools]
    names = dict(zip(harmony_names(offered), offered, strict=True))
    return Call(names.get(written, written), found or {})


class HarmonyParser:
    """Takes text in, gives parts out as soon as it is certain what they are.

    Ollama reads a call when the answer ends, all bodies that went to a tool as one; where nothing
    may be lost, each is a call of its own, and one that cannot be read is content.
    """

    def __init__(self, situation: Situation) -> None:
        self._tools, self._lossless = situation.tools, situation.lossless
        self._held = BEGUN + _prefilled(situation)
        self._head, self._recipient, self._body = "", "", ""
        self._is = Parts(content="")
        self._channel = FINAL
        self._implied = len(self._held)  # of what is held, how much the prompt has written
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
        rest, self._held = self._held, ""
        if self._lossless:
            return self._rest(rest)
        if self._recipient:
            return Parts(calls=(self._call(self._body),), lost=rest)
        return Parts(lost=rest[self._implied :] if self._read != self._message else rest)

    # --- states: each gives the next parts, or None to wait ---------------------------------------

    def _look(self) -> Parts | None:
        """For a message; text between messages is nobody's."""
        before, begun, after = self._held.partition(START)
        if not begun:
            return self._between(len(self._held) - overlap(self._held, START))
        found = self._between(len(before)) if before else NOTHING
        self._held, self._read = after, self._header
        self._implied = max(self._implied - len(START), 0)
        return found

    def _between(self, end: int) -> Parts | None:
        text, self._held = self._held[:end], self._held[end:]
        if not text:
            return None
        return Parts(content=text) if self._lossless else Parts(lost=text.strip(BLANKS))

    def _header(self) -> Parts | None:
        """For the end of a header."""
        head, ended, after = self._held.partition(MESSAGE)
        if not ended:
            return None
        found = header(head)
        self._head, self._held, self._read = head, after, self._message
        self._channel, self._implied = found.channel, 0
        if found.recipient and found.channel in (ANALYSIS, COMMENTARY):
            self._channel, self._recipient = "", found.recipient
        # A header is a tag, but not with words of an answer in it.
        odd = self._lossless and not HEAD.fullmatch(head)
        return Parts(content=head.removeprefix("assistant")) if odd else NOTHING

    def _message(self) -> Parts | None:
        """For the end of a message; its text is told as it comes, but for a call's."""
        body, ended, after = self._held.partition(END)
        if not ended:
            keep = overlap(body, END)
            body, self._held = body[: len(body) - keep], body[len(body) - keep :]
            return self._text(body) if body else None
        self._held, self._read = after, self._look
        found = self._text(body)
        if self._lossless and not self._channel and self._recipient:
            found += self._ended(END)
        self._channel = FINAL
        return found

    # --- what a text is ---------------------------------------------------------------------------

    def _text(self, text: str) -> Parts:
        if not self._channel and self._recipient:
            self._body += text
            return NOTHING
        return Parts(thinking=text) if self._channel == ANALYSIS else Parts(content=text)

    def _call(self, body: str) -> Call:
        try:
            return call_of(self._recipient, body, self._tools)
        except CallBroken as error:
            raise OutputBroken(error.reason) from error

    def _ended(self, tag: str) -> Parts:
        """A message to a tool that is at its end: a call, or content with all its tags."""
        body, self._body = self._body, ""
        recipient, self._recipient = self._recipient, ""
        try:
            return Parts(calls=(call_of(recipient, body, self._tools),))
        except CallBroken:
            return Parts(content=f"{START}{self._head}{MESSAGE}{body}{tag}")

    def _rest(self, text: str) -> Parts:
        if self._read == self._message:
            found = self._text(text)
            return found + (self._ended("") if self._recipient else NOTHING)
        return Parts(content=text[self._implied :])


def _prefilled(situation: Situation) -> str:
    if situation.prefill:
        return f"{CHANNEL}{FINAL}{MESSAGE}"
    return f"{CHANNEL}{ANALYSIS}{MESSAGE}" if situation.prefill_thinking else ""


HARMONY = OutputFormat(
    HarmonyParser,
    (START, END, MESSAGE, CHANNEL, CONSTRAIN),
    tools=True,
    thinking=True,
    calls=HarmonyCall(),
    # Behind a thought another message begins.
    thoughts=(f"{CHANNEL}{ANALYSIS}{MESSAGE}", f"{END}{BEGUN}"),
)
