"""The words of a grammar in llama.cpp's notation: texts, classes of letters, counts, names.

Each is spelled in the small part of that notation that its reader and llguidance understand alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ollama_nb_server.engine.errors import GrammarRefused

MAX_BYTES = 64 << 10
MAX_DEPTH = 100  # of parentheses, which are followed recursively
MAX_TIMES = 2000  # llama.cpp's limit too
MAX_NEAR = 20  # letters that tell where in a line

WORD = re.compile(
    r"""
      (?P<text>"(?:\\.|[^"\\])*")
    | (?P<chars>\[(?:\\.|[^\]\\])*\])
    | (?P<comment>\#[^\r\n]*)
    | (?P<times>\{[^}]*\})
    | (?P<defined>[\w-]+(?=[ \t]*::=))
    | (?P<used>[\w-]+)
    | (?P<any>\.)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<sign>::=|[|?*+\s])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
TIMES = re.compile(r"\{\s*(\d{1,9})\s*(?:(,)\s*(\d{1,9})?\s*)?\}", re.ASCII)
CHAR = re.compile(
    r"\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[nrt\"\\\[\]])|[^\\]", re.DOTALL
)
PLAIN = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "[": "[", "]": "]"}


class Source:
    """A grammar's text, and where in it something is wrong."""

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise GrammarRefused("it is empty", "", "grammar")
        if len(text.encode()) > MAX_BYTES:
            raise GrammarRefused(f"it is larger than {MAX_BYTES} bytes", "", "grammar")
        self.text = text

    def refusal(self, reason: str, place: int) -> GrammarRefused:
        """An error of the line of this place."""
        line = self.text.count("\n", 0, place) + 1
        near = self.text[place : place + MAX_NEAR].partition("\n")[0].rstrip()
        return GrammarRefused(
            reason, f"line {line}, {near!r}" if near else f"line {line}", "grammar"
        )

    def words(self) -> Iterator[tuple[str, str, int]]:
        """Kind, text and place of each word."""
        place, depth = 0, 0
        while place < len(self.text):
            match = WORD.match(self.text, place)
            if match is None:
                raise self.refusal(_unread(self.text[place]), place)
            kind = match.lastgroup or ""
            depth += (kind == "open") - (kind == "close")
            if depth > MAX_DEPTH:
                raise self.refusal(f"more than {MAX_DEPTH} parentheses are open", place)
            yield kind, match[0], place
            place = match.end()


def _unread(letter: str) -> str:
    if letter in '"[{':
        return f"what {letter} begins has no end"
    if letter in "<!":
        return "tokens cannot be named here; write their text"
    return f"unexpected {letter!r}"


def spelled(source: Source, kind: str, word: str, place: int) -> str:
    """A word in the small part of GBNF that its reader and llguidance understand alike."""
    if kind == "comment":
        return ""
    if kind == "any":
        return f"[{_coded(chr(0))}-{chr(0x10FFFF)}]"  # also a line's end
    if kind == "times":
        return _times(source, word, place)
    if kind == "text":
        letters = "".join(f"[{_coded(char)}]" for char, _ in _chars(source, word, place))
        return f"({letters})" if letters else '""'
    return _class(source, word, place) if kind == "chars" else word


def _times(source: Source, word: str, place: int) -> str:
    match = TIMES.fullmatch(word)
    if not match:
        raise source.refusal("write {m}, {m,} or {m,n}", place)
    least, comma, most = int(match[1]), match[2], int(match[3] or match[1])
    if most == 0:
        raise source.refusal("nothing that comes 0 times is needed", place)
    if most < least:
        raise source.refusal(f"{most} times at most are less than {least} at least", place)
    if most > MAX_TIMES:
        raise source.refusal(f"{most} times are more than {MAX_TIMES}", place)
    return f"{{{least},{most if match[3] else ''}}}" if comma else f"{{{least}}}"


def _class(source: Source, word: str, place: int) -> str:
    """Letters and ranges, each spelled so that none means something to a regular expression."""
    negated = word.startswith("[^")
    chars = list(_chars(source, word[negated:], place + negated))
    if not chars:
        raise source.refusal("there is no letter in it", place)
    made, at = "", 0
    while at < len(chars):
        first = last = chars[at]
        at += 1
        if at + 1 < len(chars) and source.text[chars[at][1]] == "-":
            last = chars[at + 1]
            at += 2
        if last[0] < first[0]:
            raise source.refusal("a range ends before it begins", first[1])
        made += _coded(first[0]) + (f"-{_coded(last[0])}" if last is not first else "")
    return f"[{'^' * negated}{made}]"


def _chars(source: Source, word: str, place: int) -> Iterator[tuple[str, int]]:
    """What stands between the ends of a text or a class, escapes read, with its places."""
    at = 1
    while at < len(word) - 1:
        match = CHAR.match(word, at)
        if match is None:
            raise source.refusal("there is no such escape", place + at)
        yield _char(source, match, place + at), place + at
        at = match.end()


def _char(source: Source, match: re.Match[str], place: int) -> str:
    escape = match[1]
    if not escape or escape in PLAIN:
        return PLAIN[escape] if escape else match[0]
    number = int(escape[1:], 16)
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise source.refusal("there is no such letter in Unicode", place)
    return chr(number)


def _coded(char: str) -> str:
    return f"\\x{ord(char):02x}" if char.isascii() else char
