"""A parser for output that tags cut into sections, each of which is declared as data.

    think -- </think> --> answer -- <tool_call> --> calls -- </tool_call> --> answer

The machine knows nothing of any family. It holds back what may still become a tag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ollama_nb_server.prompts.parsing.parts import (
    NOTHING,
    Call,
    CheckedTool,
    OutputBroken,
    Parts,
    Tool,
)
from ollama_nb_server.prompts.parsing.section import (
    BLANKS,
    MAX_WAITS,
    SWALLOWED,
    Broken,
    CallBroken,
    Kind,
    Reader,
    Rest,
    Section,
)
from ollama_nb_server.prompts.parsing.tags import overlap, tags_of

__all__ = [
    "BLANKS",
    "Broken",
    "CallBroken",
    "Kind",
    "Reader",
    "Rest",
    "Section",
    "SectionParser",
    "overlap",
]


class SectionParser:
    """Takes text in, gives parts out as soon as it is certain which section they belong to.

    Examples
    --------
    >>> think = Section(Kind.THINKING, {"</think>": "answer"})
    >>> parser = SectionParser({"think": think, "answer": Section(Kind.CONTENT, {})}, "think")
    >>> [parser.feed(text) for text in ("Hm.</th", "ink> Four.")]
    [Parts(thinking='Hm.', ...), Parts(thinking='', content='Four.', ...)]
    """

    def __init__(
        self,
        sections: Mapping[str, Section],
        start: str,
        tools: Sequence[Tool] = (),
        *,
        lossless: bool = False,
    ) -> None:
        self._sections, self._lossless = sections, lossless
        self._tools = (
            tuple(CheckedTool(one.name, one.parameters) for one in tools) if lossless else tools
        )
        self._held, self._tag = "", ""
        self._answered = False  # whether words of the answer have come
        self._enter(start)

    def feed(self, text: str) -> Parts:
        """What is certain now."""
        self._held += text
        found = NOTHING
        try:
            while self._at_beginning() and (step := self._step()) is not None:
                found += step
        except OutputBroken as error:
            raise OutputBroken(str(error), found + error.before) from error
        return found + self._certain()

    def end(self) -> Parts:
        """What is left when nothing more comes."""
        found = NOTHING
        while (given_up := self._given_up()) is not None:
            found += given_up + self.feed("")
        rest, self._held = self._held, ""
        section = self._section
        if section.kind is Kind.CALLS:
            return found + self._unfinished(rest)
        if self._fresh and section.skips_blanks:
            rest = rest.lstrip(BLANKS)
        return found + self._rest(rest)

    def _rest(self, text: str) -> Parts:
        section = self._section
        if self._lossless or section.rest is Rest.KEPT:
            return self._parts(text)
        if section.rest is Rest.LOST:
            return Parts(lost=text.strip(BLANKS))
        return self._parts(text.rstrip(BLANKS) if section.holds_blanks else text)

    def _keeps_blanks(self, text: str, tag: str) -> bool:
        """Whether blanks before a tag are told: words before and behind a call stay apart."""
        section = self._section
        if not section.holds_blanks or tag in section.keeps_before:
            return True
        answers = section.kind is Kind.CONTENT and (self._answered or text.strip(BLANKS))
        return self._lossless and bool(answers)

    # --- the way through the sections -------------------------------------------------------------

    def _enter(self, name: str, tag: str = "") -> None:
        self._begin(self._sections[name], tag)

    def _begin(self, section: Section, tag: str) -> None:
        self._section, self._tag = section, tag
        self._fresh, self._searched, self._opens = True, 0, section.opens
        self._exits, self._waits = tags_of(tuple(section.exits)), 0

    def _at_beginning(self) -> bool:
        """Get past what a section may begin with; False where that is not decided yet."""
        if not self._fresh:
            return True
        begun = self._held.lstrip(BLANKS)
        for tag, name in self._section.leads.items():
            if begun.startswith(tag):
                self._held = begun[len(tag) :]
                self._enter(name, tag)
                return self._at_beginning()
        if any(tag.startswith(begun) for tag in self._section.leads):
            return False
        if self._opens and begun.startswith(self._opens):
            begun = self._held = begun[len(self._opens) :].lstrip(BLANKS)
            self._opens = ""  # once
        elif self._opens and self._opens.startswith(begun):
            return False
        if self._section.skips_blanks:
            self._held = begun
        if not self._held:
            return False
        self._fresh = False
        return True

    def _step(self) -> Parts | None:
        """Leave the section by the first tag that is there; None if there is none."""
        found = self._first_exit()
        if found is None:
            return None
        at, tag = found
        text, rest = self._held[:at], self._held[at + len(tag) :]
        section = self._section
        then = self._sections[section.exits[tag]]
        if section.kind is Kind.CALLS:
            try:
                parts = self._called(text, tag)
            except CallBroken:  # the tag may belong to a value: wait for another
                self._searched = at + 1
                return self._step()
            if parts.lost and section.broken is Broken.DEAFENING:
                then = SWALLOWED
        else:
            kept = text if self._keeps_blanks(text, tag) else text.rstrip(BLANKS)
            parts = self._parts(kept)
            if then.broken is Broken.TOLD:  # blanks before it are told with it
                tag = text[len(kept) :] + tag
        self._held = rest
        self._begin(then, tag)
        self._fresh = not (section.kind is Kind.CALLS and parts.content)  # blanks of a text stay
        return parts

    def _first_exit(self) -> tuple[int, str] | None:
        found = self._exits.first(self._held, self._searched)
        ends = self._section.ends
        if ends is not None and (end := ends(self._held, self._searched)):
            found = (end, "") if found is None or end < found[0] else found
        return found

    def _certain(self) -> Parts:
        """The text that cannot become part of a tag any more."""
        section, held = self._section, self._held
        if self._fresh or not held:
            return NOTHING
        if section.kind is Kind.CALLS:
            self._searched = max(self._searched, len(held) - self._exits.longest + 1)
            return NOTHING
        end = len(held) - self._exits.begun(held)
        if section.holds_blanks:
            end = len(held[:end].rstrip(BLANKS))
        self._held = held[end:]
        return self._parts(held[:end])

    # --- what a text is ---------------------------------------------------------------------------

    def _parts(self, text: str) -> Parts:
        match self._section.kind:
            case Kind.THINKING:
                return Parts(thinking=text)
            case Kind.CONTENT:
                self._answered = self._answered or bool(text.strip(BLANKS))
                return Parts(content=text)
            case Kind.UNWANTED:
                return Parts(thinking=text) if self._lossless else NOTHING
        return Parts(content=text) if self._lossless else Parts(lost=text)

    def _called(self, body: str, tag: str) -> Parts:
        """The calls of a body, or what becomes of one that cannot be read."""
        section = self._section
        assert section.read is not None
        try:
            self._check(body, tag)
            return Parts(calls=self._named(section.read(body, self._tools)))
        except CallBroken as error:
            if self._lossless or section.broken is Broken.TOLD:
                self._waits += 1
                waits = self._lossless and self._waits < MAX_WAITS
                if waits and error.incomplete and tag:
                    raise
                return self._parts_of_broken(f"{self._tag}{body}{tag}")
            if section.broken is Broken.RAISED:
                raise OutputBroken(error.reason) from error
            return Parts(lost=f"{self._tag}{body}{tag}")

    def _check(self, body: str, tag: str = "") -> None:
        """See that a tag ends a call, as far as its body shows."""
        section = self._section
        if tag in section.drops:
            raise CallBroken
        if self._lossless and section.whole is not None and not section.whole(body):
            raise CallBroken(incomplete=True)
        if self._lossless and section.exact is not None and not section.exact(body):
            raise CallBroken

    def _named(self, calls: Sequence[Call]) -> tuple[Call, ...]:
        """Calls, of which Ollama tells those without a name too."""
        if self._lossless and not all(call.name for call in calls):
            raise CallBroken
        return tuple(calls)

    def _parts_of_broken(self, text: str) -> Parts:
        self._answered = True
        return Parts(content=text)

    def _given_up(self) -> Parts | None:
        """A call that waited for another closing tag in vain: text up to its first one."""
        self._searched = 0
        found = self._first_exit() if self._section.kind is Kind.CALLS else None
        if found is None:
            return None
        (at, tag), section = found, self._section
        text, self._held = self._tag + self._held[: at + len(tag)], self._held[at + len(tag) :]
        self._enter(section.exits[tag], tag)
        self._fresh = False
        return Parts(content=text)

    def _unfinished(self, body: str) -> Parts:
        """A call that its answer ended in."""
        text, section = self._tag + body, self._section
        reader = section.read_unclosed or (section.read if section.unclosed else None)
        if reader is not None:
            try:
                self._check(body)
                return Parts(calls=self._named(reader(body, self._tools)))
            except CallBroken as error:
                if section.read_unclosed is not None and not self._lossless:
                    raise OutputBroken(error.reason) from error
        if self._lossless:
            return Parts(content=text)
        if section.broken is Broken.TOLD:
            return Parts(content=text.rstrip(BLANKS))
        return Parts(lost=text)
