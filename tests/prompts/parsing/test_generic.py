"""The parser for templates that name none: Ollama's own answers, and nothing lost where asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.prompts.parsing.generic import generic
from ollama_nb_server.prompts.parsing.parts import NOTHING, Parts, Situation, Tool
from ollama_nb_server.prompts.thoughts import Thoughts

NAMES = ("get", "get_weather", "f")
THOUGHTS = Thoughts("<think>", "</think>")
CALL = '{"name": "get_weather", "arguments": {"city": "Oslo </tool_call>"}}'
TAGS = ("<tool_call>", "{", "[", "[TOOL_CALLS] [", "<|tool_call|>[")
PIECES = [
    CALL, '{"name":"f"}', '{"name":"f","parameters":{"a":[1.0,2]}}', '{"x":{"f":{"q":1}}}', '{"x":1}',
    '{"name":"zip","arguments":{}}', "get", "f", "{", "}", "[", "]", '"', "\\", ",", " ", "\n", "word",
    "</tool_call>", "ge", "<tool", "[TOOL", *TAGS,
]  # fmt: skip


def parsed(
    tag: str, chunks: list[str], *, lossless: bool = False, thoughts: Thoughts | None = None
) -> Parts:
    tools = tuple(Tool(name) for name in NAMES)
    parser = generic(Situation(tools, lossless=lossless), thoughts, tag)
    found = NOTHING
    for chunk in chunks:
        found += parser.feed(chunk)
    return found + parser.end()


# Recorded from Ollama's parser (reference/ollama-models.md 7.2).
@pytest.mark.parametrize(
    ("tag", "text", "content", "calls", "lost"),
    [
        ("<tool_call>", 'Hi <tool_call>{"name":"f","arguments":{"a":1}}</tool_call>', "Hi ", [("f", {"a": 1})], ""),
        ("<tool_call>", 'Hi <tool_call>{"name":"zip","arguments":{}}', "Hi ", [], '{"name":"zip","arguments":{}}'),
        ("<tool_call>", '<tool_call>{"name":"f","arguments":{}}</tool_call> So.', "", [("f", {})], "So."),
        ("<tool_call>", 'Hi <tool_call>{"name":"f","arg', "Hi ", [], '{"name":"f","arg'),
        ("<tool_call>", "a <tool", "a ", [], "<tool"),
        ("<tool_call>", '<tool_call>{"tool_name":"f","args":{"a":1}}', "", [("f", {"tool_name": "f", "args": {"a": 1}})], ""),
        ("{", '{"name":"f","parameters":{"a":1.0}}', "", [("f", {"a": 1})], ""),
        ("{", 'Sure: {"name":"f","parameters":{}}', 'Sure: {"name":"f","parameters":{}}', [], ""),
        ("{", '{"x":1} f', '{"x":1} f', [], ""),
        ("{", '{"name":"f"}', '{"name":"f"}', [], ""),
        ("[", '[{"name":"f","arguments":"{\\"a\\": 2}"}, {"name":"get","arguments":{"b":[1]}}]', "", [("f", {"a": 2}), ("get", {"b": [1]})], ""),
        ("[", "[1, 2] f", "[1, 2] f", [], ""),
    ],
)  # fmt: skip
def test_calls_are_found_as_ollama_finds_them(
    tag: str, text: str, content: str, calls: list[object], lost: str
) -> None:
    found = parsed(tag, [text])

    assert found.content == content
    assert [(call.name, call.arguments) for call in found.calls] == calls
    assert found.lost == lost
    assert parsed(tag, list(text)) == found


@pytest.mark.parametrize(
    ("tag", "text", "content", "calls"),
    [
        ("<tool_call>", f"Hi <tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call> So.", "Hi So.", ["get_weather"] * 2),
        ("<tool_call>", 'Hi <tool_call>{"name":"zip","arguments":{}}</tool_call> So.', 'Hi <tool_call>{"name":"zip","arguments":{}}</tool_call> So.', []),
        ("<tool_call>", '<tool_call>{"name":"f","arg', '<tool_call>{"name":"f","arg', []),
        ("<tool_call>", '<tool_call>well: {"name":"f","arguments":{}}</tool_call>, no', "well:, no", ["f"]),
        ("{", 'Sure: {"name":"f","parameters":{}} {x}', "Sure: {x}", ["f"]),
        ("[TOOL_CALLS] [", '[TOOL_CALLS] [{"name":"f","arguments":{}}, {"name":"get","arguments":{}}] So', "So", ["f", "get"]),
        ("<tool_call>", "no calls <tool", "no calls <tool", []),
    ],
)  # fmt: skip
def test_a_request_with_a_tool_choice_loses_nothing(
    tag: str, text: str, content: str, calls: list[str]
) -> None:
    found = parsed(tag, [text], lossless=True)

    assert (found.content, [call.name for call in found.calls]) == (content, calls)
    for at in range(len(text)):
        assert parsed(tag, [text[:at], text[at:]], lossless=True) == found
    assert parsed(tag, list(text), lossless=True) == found


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("tag", TAGS)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=9), size=st.integers(1, 9))
def test_broken_texts_come_out_the_same_however_they_are_cut(
    tag: str, lossless: bool, pieces: list[str], size: int
) -> None:
    text = "".join(pieces)
    found = parsed(tag, [text], lossless=lossless)
    cut = parsed(tag, [text[at : at + size] for at in range(0, len(text), size)], lossless=lossless)

    assert (found.content, found.calls) == (cut.content, cut.calls)
    kept = found.content if lossless else found.content + found.lost + cut.lost
    assert kept.count("word") >= text.count("word")


def test_a_name_may_come_in_pieces_behind_its_object() -> None:
    found = parsed("<tool_call>", ['<tool_call>{"x": 1} get', "_weather"])

    assert [call.name for call in found.calls] == ["get_weather"]


def test_thoughts_are_told_apart_before_calls() -> None:
    text = f"<think>A {CALL} <tool_call></think>\n\nLook <tool_call>{CALL}</tool_call>"
    found = parsed("<tool_call>", list(text), thoughts=THOUGHTS)

    assert found.thinking == f"A {CALL} <tool_call>"
    assert (found.content, len(found.calls)) == ("Look ", 1)


@pytest.mark.parametrize("thoughts", [None, THOUGHTS])
@pytest.mark.parametrize("tag", [None, "<tool_call>"])
def test_without_tools_all_is_answer(tag: str | None, thoughts: Thoughts | None) -> None:
    parser = generic(Situation(), thoughts, tag)

    assert parser.feed(f"Hi <tool_call>{CALL}") == Parts(content=f"Hi <tool_call>{CALL}")
    assert not parser.end()
