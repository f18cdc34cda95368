"""What a docstring says of a function and its parameters: Google's, NumPy's and Sphinx's styles."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Headings of sections, in Google's style with a colon, in NumPy's with a line of dashes below.
_ARGUMENTS = ("args", "arguments", "parameters", "params", "other parameters", "keyword args")
_OTHERS = (
    *("attributes", "example", "examples", "note", "notes", "raises", "references", "return"),
    *("returns", "see also", "todo", "warning", "warnings", "warns", "yield", "yields"),
)
_SPHINX = re.compile(r":(?P<field>\w+)(?P<words>(?:\s+[^:\s]+)*)\s*:\s*(?P<text>.*)")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(?:\(.*?\))?\s*:\s*(?P<text>.*)")
_NUMPY_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")


@dataclass(slots=True)
class Described:
    """What a function does, and what its parameters mean."""

    summary: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def described(doc: str | None) -> Described:
    """Read a docstring whose indentation is cleaned, as `inspect.getdoc` returns it.

    Examples
    --------
    >>> described("Add two numbers." + 2 * chr(10) + "Args:" + chr(10) + "    a: The first.")
    Described(summary='Add two numbers.', parameters={'a': 'The first.'})
    """
    lines = (doc or "").splitlines()
    found = Described()
    summary: list[str] = []
    place = 0
    while place < len(lines):
        if found_field := _SPHINX.fullmatch(lines[place]):
            end = _end_of_block(lines, place + 1)
            _sphinx(found, found_field, lines[place + 1 : end])
        elif (heading := _heading(lines, place)) is not None:
            begin = place + (2 if _is_ruled(lines, place) else 1)
            end = _next_section(lines, begin)
            if heading in _ARGUMENTS:
                read = _numpy if _is_ruled(lines, place) else _google
                read(found, lines[begin:end])
        else:
            summary.append(lines[place])
            end = place + 1
        place = end
    found.summary = "\n".join(summary).strip()
    return found


def _heading(lines: list[str], place: int) -> str | None:
    """Return the section that begins in this line, in small letters."""
    line = lines[place].strip().lower()
    name = line.removesuffix(":")
    is_one = lines[place][:1].strip() and name in (*_ARGUMENTS, *_OTHERS)
    return name if is_one and (line.endswith(":") or _is_ruled(lines, place)) else None


def _is_ruled(lines: list[str], place: int) -> bool:
    below = lines[place + 1].strip() if place + 1 < len(lines) else ""
    return len(below) >= 3 and set(below) == {"-"}


def _next_section(lines: list[str], place: int) -> int:
    while place < len(lines) and _heading(lines, place) is None:
        place += 1
    return place


def _end_of_block(lines: list[str], place: int) -> int:
    """Return where the lines end that are further in."""
    while place < len(lines) and lines[place].startswith((" ", "\t")):
        place += 1
    return place


def _sphinx(found: Described, head: re.Match[str], more: list[str]) -> None:
    if head["field"] == "param" and (words := head["words"].split()):
        found.parameters[words[-1].lstrip("*")] = _one_line([head["text"], *more])


def _google(found: Described, lines: list[str]) -> None:
    """Entries are one step further in than the heading, their other lines two."""
    entries = [line for line in lines if line.strip()]
    step = _indent(entries[0]) if entries else 0
    begun: list[str] = []
    for line in [*entries, ""]:
        if (_indent(line) > step or not _GOOGLE_ENTRY.fullmatch(line.strip())) and line:
            begun.append(line)
            continue
        if begun and (head := _GOOGLE_ENTRY.fullmatch(begun[0].strip())):
            found.parameters[head["name"]] = _one_line([head["text"], *begun[1:]])
        begun = [line]


def _numpy(found: Described, lines: list[str]) -> None:
    """Entries are as far in as the heading, what they mean further."""
    names: list[str] = []
    for line in lines:
        if line.strip() and not _indent(line):
            head = _NUMPY_ENTRY.fullmatch(line.strip())
            names = re.findall(r"\w+", head["names"]) if head else []
        elif line.strip():
            for name in names:
                before = found.parameters.get(name, "")
                found.parameters[name] = _one_line([before, line])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _one_line(parts: list[str]) -> str:
    return " ".join(part.strip() for part in parts if part.strip())
