"""Calls that small models write in JSON alone: found at an answer's beginning, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.prompts.parsing.generic import generic
from ollama_nb_server.prompts.parsing.loose_calls import LooseParser
from ollama_nb_server.prompts.parsing.parts import NOTHING, Call, Parts, Situation, Tool

TOOLS = (Tool("look"), Tool("sing"))
LOOK = '{"name": "look", "arguments": {"at": "a } b"}}'
CALL = Call("look", {"at": "a } b"})
FENCED = '```json\n{\n  "name": "look", "arguments": {"at": "a } b"}}\n```'
CALLS = {
    "alone": (LOOK, "", 1),
    "without blanks": ('{"name":"look", "arguments": {"at": "a } b"}}', "", 1),
    "in a fence": (FENCED, "", 1),
    "in a fence without a language": (FENCED.replace("json", ""), "", 1),
    "behind blanks": (f"\n\n{LOOK}\n", "", 1),
    "far behind blanks": (" " * 90 + LOOK, " " * 90 + LOOK, 0),
    "in a list": (f"[{LOOK}, {LOOK}]", "", 2),
    "one behind the other": (f"{LOOK}\n{LOOK}", "", 2),
    "in fences": (f"{FENCED}\n{FENCED}", "", 2),
    "before words": (f"{FENCED}\nThat is all.", "That is all.", 1),
    "behind words": (f"Well: {LOOK}", f"Well: {LOOK}", 0),
    "of another tool": ('{"name": "fly"}', '{"name": "fly"}', 0),
    "an object": ('{"name": "Ana"}', '{"name": "Ana"}', 0),
    "code": ("```python\nprint(1)\n```", "```python\nprint(1)\n```", 0),
    "no arguments": ('{"name": "look"}', '{"name": "look"}', 0),
    "half": (LOOK[:-9], LOOK[:-9], 0),
    "a fence alone": ("```json\n{", "```json\n{", 0),
}
PIECES = ["```", "json", "\n", "{", "}", "[", '"name": "look"', LOOK, ', "arguments": ', "word", " ", "`"]  # fmt: skip


def parsed(chunks: list[str]) -> Parts:
    parser = LooseParser(generic(Situation(TOOLS, lossless=True), None, "<tool_call>"), TOOLS)
    found = NOTHING
    for chunk in chunks:
        found += parser.feed(chunk)
    return found + parser.end()


@pytest.mark.parametrize("case", CALLS)
def test_a_loose_call_is_found_however_it_comes(case: str) -> None:
    text, content, number = CALLS[case]

    for at in range(len(text) + 1):
        assert parsed([text[:at], text[at:]]) == Parts(content=content, calls=(CALL,) * number)
    assert parsed(list(text)) == Parts(content=content, calls=(CALL,) * number)


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=10), size=st.integers(1, 7))
def test_nothing_is_lost(pieces: list[str], size: int) -> None:
    text = "".join(pieces)
    found = parsed([text[at : at + size] for at in range(0, len(text), size)])

    assert found == parsed([text])
    assert found.content.count("word") == text.count("word")
    names = found.content.count('"name": "look"') + len(found.calls)
    assert names == text.count('"name": "look"')
