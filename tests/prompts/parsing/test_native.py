"""Families that are told by their Jinja template: the same calls at every cut, and no text lost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from native_examples import EXAMPLES, TOOLS, Example
from ollama_nb_server.prompts.parsing.forms import text_until
from ollama_nb_server.prompts.parsing.native import native_family, native_format
from ollama_nb_server.prompts.parsing.native_families import ANY_OTHER, FAMILIES, Family
from ollama_nb_server.prompts.parsing.parts import NOTHING, Parts, Situation, Tool
from ollama_nb_server.prompts.parsing.shapes import Repeat, Until
from walking import walk

ALL = (*FAMILIES, ANY_OTHER)
BY_NAME = pytest.mark.parametrize("example", EXAMPLES, ids=[one.family for one in EXAMPLES])
OWN = [one for one in EXAMPLES if not native_family(one.template).built_in]
BY_FAMILY = pytest.mark.parametrize("family", ALL, ids=[one.name for one in ALL])


def parsed(
    template: str, chunks: Sequence[str], prompt: str = "", tools: tuple[Tool, ...] = TOOLS
) -> Parts:
    parser = native_format(template, prompt).parser(Situation(tools))
    found = NOTHING
    for chunk in chunks:
        found += parser.feed(chunk)
    return found + parser.end()


def template_of(family: Family) -> str:
    """A text with the signs of a family, and with its tags of thoughts."""
    return " ".join((*family.signs, *(family.thoughts or ())))


@BY_NAME
def test_an_answer_in_its_familys_form_comes_apart(example: Example) -> None:
    found = parsed(example.template, [example.text], example.prompt)

    assert (found.thinking, found.content) == (example.thinking, example.content)
    assert [(call.name, call.arguments) for call in found.calls] == list(example.calls)
    assert [call.id for call in found.calls] == list(example.ids)
    assert not found.lost


@BY_NAME
def test_an_answer_is_the_same_at_every_cut(example: Example) -> None:
    text = example.text
    whole = parsed(example.template, [text], example.prompt)

    for at in range(len(text)):
        assert parsed(example.template, [text[:at], text[at:]], example.prompt) == whole
    assert parsed(example.template, list(text), example.prompt) == whole


@pytest.mark.parametrize("example", OWN, ids=[one.family for one in OWN])
def test_without_tools_a_call_is_text(example: Example) -> None:
    found = parsed(example.template, [example.text], example.prompt, tools=())

    assert not found.calls
    assert all(name in found.content + found.thinking for name, _ in example.calls)


HALF = '<tool_call>{"name": "stop", "arguments": {}'
NS = "]<]minimax[>["
M3 = f"{NS} <invoke name="
NO_CALLS = [
    ("<tool_call>", f'{HALF}, "because": "word"}}</tool_call>'),
    ("<tool_call>", f'{HALF}, "parameters": {{"zone": "word"}}}}</tool_call>'),
    ("<tool_call>", f'{HALF}, "name": "get_time"}}</tool_call>'),
    ("<tool_call>", '<tool_call>{"name": "get_time", "arguments": {"zone": NaN}}</tool_call>'),
    ("<tool_call>", '<tool_call>{"name": "get_time", "arguments": {"zone": "}}</tool_call>'),
    ("<tool_call>", '<tool_call>{"name": "stop", "arguments": "{}{}"}</tool_call>'),
    ("<tool_call>", '<tool_call>{"name": "stop", "arguments": "half"}</tool_call>'),
    ("<tool_call>", "<tool_call></tool_call>"),
    ("<tool_call>", "<tool_call>[" + "[" * 100_000),
    ("[TOOL_CALLS]", '[TOOL_CALLS][{"name": "get_time", "arguments": {"zone": "}]'),
    (
        "<arg_key>",
        "<tool_call>get_time<arg_key>zone</arg_key><arg_value>a</arg_value>"
        "<arg_key>zone</arg_key><arg_value>b</arg_value></tool_call>",
    ),
    (
        "<minimax:tool_call>",
        f'<minimax:tool_call><invoke name="{"a " * 30_000}{" " * 30_000}</minimax:tool_call>',
    ),
    ("[ARGS] [TOOL_CALLS]", f"[TOOL_CALLS]{'a ' * 30_000}[ARGS]{' ' * 30_000}}}"),
    ("<|tools_prefix|>", '<|tools_prefix|>[{"stop": {}, "get_time": {}}]<|tools_suffix|>'),
    ("<|python_tag|>", "<|python_tag|>print(1)"),
    ("<|python_tag|>", "<|python_tag|>get_time.call('UTC')"),
    (M3, f'{NS}<tool_call>{NS}<invoke name="stop">{NS}</tool_call>'),
    (
        M3,
        f'{NS}<tool_call>{NS}<invoke name="get_time">{NS}<zone>a{NS}</zone>{NS}<zone>b{NS}</zone>'
        f"{NS}</invoke>{NS}</tool_call>",
    ),
    ("<|python_tag|>", "<|python_tag|>get_time.call(zone=open('x'))"),
]


@pytest.mark.parametrize(("template", "text"), NO_CALLS, ids=[text[:60] for _, text in NO_CALLS])
def test_what_is_not_wholly_a_call_is_text(template: str, text: str) -> None:
    assert parsed(template, [text]) == Parts(content=text)


def test_a_text_may_have_what_a_tag_of_several_tokens_begins_with() -> None:
    shapes = text_until("</｜DSML｜parameter>\n", ("｜DSML｜",))

    assert [shape.document() for shape in shapes] == [
        Repeat(Until("</")).document(),
        {"tag": "｜DSML｜"},
        {"text": "parameter>"},
        {"text": "\n"},
    ]


def test_a_closing_tag_is_waited_for_a_bounded_number_of_times() -> None:
    text = '<tool_call>{"name": "' + "</tool_call>" * 3000

    assert parsed("<tool_call>", [text]) == Parts(content=text)


def test_an_answer_that_had_begun_goes_on_with_words() -> None:
    form = native_format("<think> </think>", "<|im_start|>assistant\n<think>Once upon")
    parser = form.parser(Situation(TOOLS, prefill=True))

    assert parser.feed("<think>") + parser.end() == Parts(content="<think>")


def test_every_family_has_an_example() -> None:
    shown = {native_family(example.template) for example in EXAMPLES}

    assert [family.name for family in ALL if family not in shown] == []


def test_the_docs_list_every_family() -> None:
    page = (Path(__file__).parents[3] / "docs/tools.md").read_text("utf-8")

    assert {family.name for family in FAMILIES if f"| {family.name} |" not in page} == set()


@BY_FAMILY
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), at=st.integers(0, 400))
def test_what_a_bound_model_writes_is_read_as_a_valid_call(
    family: Family, seed: int, at: int
) -> None:
    form = native_format(template_of(family))
    assert form.calls is not None
    written = walk(form.calls.shape(TOOLS).document(), random.Random(seed))
    text = form.calls.opens + written
    found = parsed(template_of(family), [text[:at], text[at:]], prompt_of(family))

    assert found.calls
    assert found.content.strip() == ""
    for call in found.calls:
        (tool,) = [tool for tool in TOOLS if tool.name == call.name]
        Draft202012Validator(tool.parameters).validate(call.arguments)


def prompt_of(family: Family) -> str:
    """The end of a prompt behind which no thought begins."""
    return family.thoughts[1] if family.thoughts else ""


@BY_FAMILY
@settings(max_examples=12)
@given(data=st.data())
def test_no_text_of_a_broken_answer_is_lost(family: Family, data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.sampled_from(pieces_of(family)), max_size=10))
    size = data.draw(st.integers(1, 9))
    text = "".join(pieces)
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    found = parsed(template_of(family), chunks)

    assert found == parsed(template_of(family), [text])
    assert not found.lost
    told = found.thinking + found.content + "".join(str(call) for call in found.calls)
    assert told.count("word") == text.count("word")


def pieces_of(family: Family) -> list[str]:
    """Tags, halves of tags, calls, and words."""
    form = native_format(template_of(family))
    examples = [one.text for one in EXAMPLES if native_family(one.template) is family]
    halves = [text[: len(text) // 2] for text in (*examples, *form.tags)]
    free = ["word", " ", "\n", '"', "{", "}", "[", "]", "<", '{"name": "stop", "arguments": {}}']
    return [*form.tags, *examples, *halves, *free]


@BY_FAMILY
def test_no_tag_hides_another(family: Family) -> None:
    """What a tag is must be certain when its last letter is there, whatever comes behind it."""
    tags = [*family.begins(TOOLS), *family.wrappers]

    hidden = [(a, b) for a in tags for b in tags if a != b and a in b and not b.endswith(a)]
    assert hidden == []
