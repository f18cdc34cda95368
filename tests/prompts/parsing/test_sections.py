"""The machine below all families: the same parts however the text is cut, and nothing lost."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.prompts.parsing.formats import FORMATS
from ollama_nb_server.prompts.parsing.notations import json_object
from ollama_nb_server.prompts.parsing.parts import (
    NOTHING,
    Call,
    OutputBroken,
    Parts,
    Situation,
    Tool,
)
from ollama_nb_server.prompts.parsing.sections import Kind, Section, SectionParser
from ollama_nb_server.prompts.parsing.tags import Tags

TOOLS = (Tool("look", {"properties": {"at": {"type": "string"}, "n": {"type": "integer"}}}),)
CALL = (
    '<tool_call>\n{"name": "look", "arguments": {"at": "a </tool_call> b", "n": 2}}\n</tool_call>'
)
TAGGED = "<tool_call>\n<function=look>\n<parameter=at>\n<b> & c\n</parameter>\n<parameter=n>\n2\n</parameter>\n</function>\n</tool_call>"
PIECES = ["<think>", "</think>", "<tool_call>", "</tool_call>", CALL, TAGGED, "<tool", " ", "\n", "word", "{", '"', "}", "<function=look>", "</function>"]  # fmt: skip

NAMES = ("qwen3", "qwen3-thinking", "qwen3.5")  # test_families has them all


def parsed(name: str, chunks: list[str], *, lossless: bool = True) -> Parts:
    parser = FORMATS[name].parser(Situation(TOOLS, True, lossless=lossless))
    found = NOTHING
    for chunk in chunks:
        found += parser.feed(chunk)
    return found + parser.end()


@pytest.mark.parametrize(
    ("name", "call", "value"), [("qwen3", CALL, "a </tool_call> b"), ("qwen3.5", TAGGED, "<b> & c")]
)
def test_a_call_is_the_same_at_every_cut(name: str, call: str, value: str) -> None:
    text = f"</think>Look: {call}\n{call} done"
    whole = parsed(name, [text])

    assert [c.arguments for c in whole.calls] == [{"at": value, "n": 2}] * 2
    assert whole.content.removeprefix("</think>") == "Look: done"
    for at in range(len(text)):
        assert parsed(name, [text[:at], text[at:]]) == whole
    assert parsed(name, list(text)) == whole


@pytest.mark.parametrize("name", NAMES)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12), size=st.integers(1, 9))
def test_no_text_is_lost_of_broken_answers(name: str, pieces: list[str], size: int) -> None:
    text = "".join(pieces)
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    found = parsed(name, chunks)

    assert found == parsed(name, [text])
    assert not found.lost
    kept = found.thinking + found.content
    assert kept.count("word") == text.count("word")
    assert len(found.calls) <= text.count("</tool_call>")


@pytest.mark.parametrize("name", NAMES)
@given(text=st.text(alphabet='<>/tool_cal{}" \nthink', max_size=40))
def test_only_one_error_is_raised(name: str, text: str) -> None:
    with suppress(OutputBroken):
        parsed(name, [text], lossless=False)


def _read(body: str, tools: object) -> list[Call]:
    return [Call(json_object(body)["name"], {})]


SECTIONS = {
    "start": Section(
        Kind.CONTENT, {"[": "closed", "!": "open"}, skips_blanks=False, leads={"(": "thought"}
    ),
    "thought": Section(Kind.THINKING, {")": "start"}),
    "closed": Section(Kind.CALLS, {"]": "start"}, read=_read, unclosed=True),
    "open": Section(
        Kind.CALLS, {"": "start"}, read=_read, ends=lambda text, since: text.find("}", since) + 1
    ),
}


@pytest.mark.parametrize(
    ("text", "thinking", "content", "names"),
    [
        (" (a) b", "a", " b", ""),
        ("b (a)", "", "b (a)", ""),
        ('b!{"name": "f"}c!{"name": "g"}', "", "bc", "fg"),
        ('[{"name": "f"}][{"name": "g"}', "", "", "fg"),
        ('![{"name": "f"}', "", '![{"name": "f"}', ""),
        ('[{"name": "f"', "", '[{"name": "f"', ""),
        (" (", "", "", ""),
        ("  ", "", "  ", ""),
    ],
)
def test_leads_and_calls_without_a_closing_tag(
    text: str, thinking: str, content: str, names: str
) -> None:
    for size in range(1, len(text) + 1):
        parser = SectionParser(SECTIONS, "start", lossless=True)
        found = NOTHING
        for at in range(0, len(text), size):
            found += parser.feed(text[at : at + size])
        found += parser.end()

        assert (found.thinking, found.content) == (thinking, content)
        assert "".join(call.name for call in found.calls) == names


def test_what_was_said_before_a_broken_call_is_not_lost() -> None:
    with pytest.raises(OutputBroken) as broken:
        parsed("qwen3", ["Trying <tool_call>nonsense</tool_call>"], lossless=False)

    assert broken.value.before == Parts(content="Trying")


def test_of_two_tags_at_one_place_the_longer_counts() -> None:
    tags = Tags(("<a", "<ab", "b"))

    assert tags.first("x<abc", 0) == (1, "<ab")
    assert tags.first("x<abc", 2) == (3, "b")
    assert tags.begun("x<") == 1
    assert Tags(()).first("x", 0) is None
