"""The short form of a schema: `name, age int, tags [str], mood happy|sad: how it sounds`.

Only reads, and says where it cannot; what the pieces mean is in `nodes`.

    form        = fields | type | "[" form "]"
    fields      = field { ("," | line end) field }
    field       = name ["?"] [type] ["?"] [":" description | "quoted description"]
    type        = one { "|" one }
    one         = str | int | float | bool | date | datetime | null | any
                | word | number | "quoted"        (values to choose from)
                | "[" type "]" | "{" fields "}"

A field without a type is a str; `?` lets it be absent; `age: int` is read as `age int`. A
description ends at the next comma, in a form of several lines at the line's end (inside of
brackets at both); in quotes it may hold anything.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_nb.answers.schemas.cursor import BLANKS, SPACE, Cursor
from ollama_nb.answers.schemas.nodes import SCALARS, Choice, Field, ListOf, Node, Record, Scalar
from ollama_nb.answers.schemas.schema import Schema
from ollama_nb.answers.schemas.telling import is_described, told
from ollama_nb.answers.schemas.words import OTHER_WORDS, combined, no_type, value_of
from ollama_nb.errors import BadSchema

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = "name, age int, tags [str], mood happy|sad"
MAX_DEPTH = 50
_NAME = re.compile(r"[^\W\d]\w*")
_WORD = re.compile(r"""[^\s,|{}\[\]:?"']+""")
_QUOTED = re.compile(r""""[^"]*"|'[^']*'""")
_SEPARATORS = re.compile(r"[\s,]*")


def of_short_form(text: str) -> Schema:
    """Read a short form.

    Raises
    ------
    BadSchema
        With the place and what was expected there.
    """
    node, kind = _read(text)
    definition = node.definition()
    return Schema(definition, kind, told(definition) if is_described(definition) else "")


@functools.lru_cache(maxsize=64)  # the same text gives the same dataclass, so answers compare
def _read(text: str) -> tuple[Node, Any]:
    cursor = Cursor(text.rstrip())
    node = _form(cursor, "")
    return node, node.kind("Record")


def _form(cursor: Cursor, closer: str) -> Node:
    """Read a whole form, up to the closing bracket or the end."""
    cursor.take(SPACE)
    node = _alone(cursor, closer) or _fields(cursor, closer)
    _expect(cursor, closer)
    return node


def _expect(cursor: Cursor, closer: str) -> None:
    cursor.take(SPACE)
    if cursor.next != closer:
        what = f"{closer!r} is" if closer else "nothing more is"
        raise cursor.error(f"{what} expected here")


def _alone(cursor: Cursor, closer: str) -> Node | None:
    """Read a form that is a type and no fields: `[str]`, `{...}`, `yes|no`, `int`."""
    if cursor.next == "[":
        return ListOf(_bracketed(cursor, "]", lambda: _form(cursor, "]")))
    begin = cursor.place
    word = cursor.take(_QUOTED) or cursor.take(_WORD)
    after = cursor.next_after_blanks()
    cursor.place = begin
    is_type = after == "|" or (word in SCALARS and after == closer) or cursor.next == "{"
    return _type(cursor) if is_type else None


def _fields(cursor: Cursor, closer: str) -> Record:
    """Read fields; stops before the closing bracket."""
    fields: dict[str, Field] = {}
    while True:
        cursor.take(SPACE)
        place = cursor.place
        one = _field(cursor, closer)
        if one.attribute in fields:
            raise cursor.error(f"there is a field {one.name!r} already", place)
        fields[one.attribute] = one
        if not _goes_on(cursor, closer):
            return Record(tuple(fields.values()))


def _goes_on(cursor: Cursor, closer: str) -> bool:
    """Move to the next field, over one comma and the ends of lines."""
    if cursor.next_after_blanks() in ("", closer):
        return False
    place = cursor.place
    separators = cursor.take(_SEPARATORS)
    if not separators:
        raise cursor.error("a comma is expected here, or a type such as int, [str], yes|no")
    is_over = cursor.next in ("", closer)
    if separators.count(",") > 1 or (is_over and "\n" not in cursor.text):
        raise cursor.error("a field is missing after the comma (with blanks: quote it all)", place)
    return not is_over


def _field(cursor: Cursor, closer: str) -> Field:
    name = cursor.take(_NAME)
    if not name:
        raise cursor.error(f"the name of a field is expected here, as in {EXAMPLE!r}")
    optional = cursor.has("?")
    node = None if _is_over(cursor, closer) or _is_quoted(cursor) else _type(cursor)
    optional |= cursor.has("?")
    is_described = cursor.has(":")
    if is_described and node is None and (node := _type_after_colon(cursor, closer)):
        optional |= cursor.has("?")
        is_described = cursor.has(":")
    is_described |= _is_quoted(cursor)
    description = _description(cursor, closer) if is_described else ""
    return Field(name, node or Scalar("str"), optional, description)


def _is_over(cursor: Cursor, closer: str) -> bool:
    """Tell whether no type follows here."""
    return cursor.next_after_blanks() in ("", ",", "\n", ":", "?", closer)


def _is_quoted(cursor: Cursor) -> bool:
    """Tell whether a text in quotes follows that is a description, not a value to choose."""
    begin = cursor.place
    cursor.take(BLANKS)
    is_alone = bool(cursor.take(_QUOTED)) and cursor.next_after_blanks() != "|"
    cursor.place = begin
    return is_alone


def _type_after_colon(cursor: Cursor, closer: str) -> Node | None:
    """Read a type that stands behind a colon, as in Python; other text is a description."""
    begin, depth = cursor.place, cursor.depth
    try:
        node = None if _is_quoted(cursor) else _type(cursor)
    except BadSchema:
        node = None
    if node is None or not _is_over(cursor, closer):
        cursor.place, cursor.depth = begin, depth
        return None
    return node


def _description(cursor: Cursor, closer: str) -> str:
    cursor.take(BLANKS)
    place = cursor.place
    if _is_quoted(cursor):
        return cursor.take(_QUOTED)[1:-1].strip()
    ends = ",\n" + re.escape(closer) if cursor.depth or "\n" not in cursor.text.strip() else "\n"
    text = cursor.take(re.compile(f"[^{ends}]*")).strip()
    if not text:
        raise cursor.error("a description is expected after the colon", place)
    if text in OTHER_WORDS:
        raise cursor.error(no_type(text), place)
    return text


@dataclass(frozen=True, slots=True)
class _One:
    """One alternative of a type; `word` is set for a word that is only a value to choose."""

    node: Node
    place: int
    word: str = ""


def _type(cursor: Cursor) -> Node:
    members = [_one(cursor)]
    while cursor.has("|"):
        members.append(_one(cursor))
    words = [one for one in members if one.word]
    if words and len(members) == 1:
        raise cursor.error(no_type(words[0].word), words[0].place)
    for one in members if words else ():
        if isinstance(one.node, Scalar) and one.node.word != "null":
            sentence = f"{one.node.word!r} is a type; as a word to choose it goes in quotes"
            raise cursor.error(sentence, one.place)
    return combined([one.node for one in members])


def _one(cursor: Cursor) -> _One:
    """Read one alternative of a type."""
    cursor.take(BLANKS)
    place = cursor.place
    if cursor.next == "[":
        return _One(ListOf(_bracketed(cursor, "]", lambda: _type(cursor))), place)
    if cursor.next == "{":
        return _One(_bracketed(cursor, "}", lambda: _fields(cursor, "}")), place)
    if quoted := cursor.take(_QUOTED):
        return _One(Choice((quoted[1:-1],)), place)
    word = cursor.take(_WORD)
    if not word:
        raise cursor.error(f"a type is expected here: {', '.join(SCALARS)}, [type], {{fields}}")
    if word in SCALARS:
        return _One(Scalar(word), place)
    return _One(Choice((value_of(word),)), place, word)


def _bracketed(cursor: Cursor, closer: str, read: Callable[[], Node]) -> Node:
    if cursor.depth == MAX_DEPTH:
        raise cursor.error(f"more than {MAX_DEPTH} brackets are open here")
    cursor.place += 1
    cursor.depth += 1
    cursor.take(SPACE)
    node = read()
    _expect(cursor, closer)
    cursor.place += 1
    cursor.depth -= 1
    return node
