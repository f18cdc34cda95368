"""What stands around calls and says nothing: tags, brackets and commas between them."""

from __future__ import annotations

import re
from functools import cache

from ollama_nb_server.prompts.parsing.sections import BLANKS

# How the tag behind a call is made of the one before it: <a> </a>, <|a|> <|/a|>, a_start a_end ...
OTHERS = (("start", "end"), ("START", "END"), ("begin", "end"), ("BEGIN", "END"))
LEADING = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")
CONTROL = r"<\|[^|<>]*\|>|<\uff5c[^\uff5c<>]*\uff5c>"


@cache
def closings(tag: str) -> tuple[str, ...]:
    """The tags that may stand behind what a tag opens.

    Examples
    --------
    >>> closings("<tool_call>"), closings("[TOOL_CALLS] [")
    (('</tool_call>',), ('[/TOOL_CALLS]',))
    """
    found = []
    for part in LEADING.findall(tag):
        slash = 2 if part.startswith("<|") else 1
        changed = {part.replace(*pair) for pair in OTHERS} - {part}
        found += sorted(changed) if changed else [f"{part[:slash]}/{part[slash:]}"]
    return tuple(found)


@cache
def separator(tag: str) -> re.Pattern[str]:
    """Matches one separator: blanks, a comma, a closing bracket or a tag."""
    tags = "|".join(re.escape(text) for text in (*closings(tag), tag))
    return re.compile(f"{tags}|{CONTROL}|[{re.escape(BLANKS)}]+|[,;]|[\\[\\]}}]|```(?:json)?")


@cache
def tail(tag: str) -> re.Pattern[str]:
    """Matches what closes a call, and blanks."""
    blanks = f"[{re.escape(BLANKS)}]*"
    bracket = f"(?:\\]{blanks})?" if "[" in tag else ""
    tags = "|".join([*map(re.escape, closings(tag)), "```", CONTROL])
    return re.compile(f"{blanks}{bracket}(?:(?:{tags}){blanks})*")


def without_separators(text: str, tag: str) -> str:
    r"""What is left of a text, blanks around it dropped.

    Examples
    --------
    >>> without_separators("</tool_call>\n and so on", "<tool_call>")
    'and so on'
    """
    while found := separator(tag).match(text):
        text = text[found.end() :]
    return text.rstrip(BLANKS)
