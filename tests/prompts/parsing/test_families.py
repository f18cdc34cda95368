"""Every family that models name: Ollama's answers, the same at every cut, and nothing lost."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from family_examples import EXAMPLES, THOUGHT, TOOLS, Example, broken
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ollama_nb_server.library.capabilities import of_parser
from ollama_nb_server.prompts.parsing.formats import FORMATS
from ollama_nb_server.prompts.parsing.parts import NOTHING, OutputBroken, Parts, Situation, Tool
from walking import walk

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text("utf-8"))
BY_NAME = pytest.mark.parametrize("example", EXAMPLES, ids=[one.name for one in EXAMPLES])
BOUND = [one for one in EXAMPLES if FORMATS[one.name].calls is not None]
BY_BOUND = pytest.mark.parametrize("example", BOUND, ids=[one.name for one in BOUND])


def parsed(
    name: str,
    chunks: Sequence[str],
    think: Any = None,
    *,
    lossless: bool = False,
    prefill: bool = False,
) -> Parts:
    situation = Situation(TOOLS, think, lossless=lossless, prefill=prefill)
    parser = FORMATS[name].parser(situation)
    found = NOTHING
    for chunk in chunks:
        found += parser.feed(chunk)
    return found + parser.end()


def of_example(example: Example, chunks: Sequence[str], *, lossless: bool = True) -> Parts:
    return parsed(example.name, chunks, example.situation.get("think"), lossless=lossless)


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("name", GOLDEN["parsers"])
def test_answers_come_apart_as_ollama_takes_them_apart(name: str) -> None:
    for row in [row for row in GOLDEN["answers"] if row["name"] == name]:
        for chunks in ([row["text"]], cut(row["text"], 3)):
            try:
                found = parsed(name, chunks, row["think"])
                calls = [[call.name, call.arguments] for call in found.calls]
                read = {"content": found.content, "thinking": found.thinking, "calls": calls}
            except OutputBroken as error:
                read = {"error": str(error)}

            assert read == {key: row[key] for key in read}, row["text"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_parser_does_what_ollamas_does(name: str) -> None:
    form, theirs = FORMATS[name], GOLDEN["parsers"][name]

    assert set(form.tags) == set(theirs["tags"] or ())
    assert (form.tools, form.thinking) == (theirs["tools"], theirs["thinks"])


@pytest.mark.parametrize("name", FORMATS)
def test_the_library_knows_what_a_parser_does(name: str) -> None:
    form = FORMATS[name]
    abilities = {"tools": form.tools, "thinking": form.thinking}

    assert of_parser(name) == [ability for ability, there in abilities.items() if there]


def test_every_family_has_an_example() -> None:
    assert {example.name for example in EXAMPLES} == set(FORMATS) == set(GOLDEN["parsers"])


@BY_NAME
@pytest.mark.parametrize("lossless", [False, True])
def test_an_answer_is_the_same_at_every_cut(example: Example, lossless: bool) -> None:
    text = example.text
    whole = of_example(example, [text], lossless=lossless)

    assert [(call.name, call.arguments) for call in whole.calls] == list(example.expected)
    assert whole.content.strip() == example.before.strip()
    assert whole.thinking == (THOUGHT if example.thought else "")
    for at in range(len(text)):
        assert of_example(example, [text[:at], text[at:]], lossless=lossless) == whole
    assert of_example(example, list(text), lossless=lossless) == whole


@BY_NAME
@settings(max_examples=15)
@given(data=st.data(), size=st.integers(1, 9))
def test_no_text_of_a_broken_answer_is_lost(
    example: Example, data: st.DataObject, size: int
) -> None:
    halves = [text[: len(text) // 2] for text in (*example.calls, *FORMATS[example.name].tags)]
    pieces = [*example.calls, *example.pieces, *halves, *FORMATS[example.name].tags]
    free = ["word", " ", "\n", "{", "}", '"', "<"]
    text = "".join(data.draw(st.lists(st.sampled_from([*pieces, *free, "word"]), max_size=9)))
    found = of_example(example, cut(text, size))

    assert found == of_example(example, [text])
    assert not found.lost
    told = found.thinking + found.content + "".join(str(call) for call in found.calls)
    assert told.count("word") >= text.count("word")


@BY_NAME
@settings(max_examples=15)
@given(data=st.data())
def test_only_one_error_is_raised(example: Example, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(broken(example, 40)))
    at, size = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 20))
    text = text[:at] + text[at + size :]
    outcomes = []
    for chunks in ([text], list(text)):
        try:
            outcomes.append(of_example(example, chunks, lossless=False))
        except OutputBroken as error:
            outcomes.append(Parts(lost=str(error)))

    told = [(one.thinking, one.content, one.calls) for one in outcomes]
    assert told[0] == told[1]


@BY_BOUND
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), at=st.integers(0, 400))
def test_what_a_bound_model_writes_is_read_as_valid_calls(
    example: Example, seed: int, at: int
) -> None:
    calls = FORMATS[example.name].calls
    assert calls is not None
    text = calls.opens + walk(calls.shape(TOOLS).document(), random.Random(seed))
    chunks = [text[:at], text[at:]]
    found = parsed(example.name, chunks, False, lossless=True, prefill=example.name in PREFILLED)

    assert found.calls, text
    assert found.content.strip() == "", text
    for call in found.calls:
        (tool,) = [tool for tool in TOOLS if tool.name == call.name]
        Draft202012Validator(tool.parameters).validate(call.arguments)


# Where a thought begins whatever a request says, unless content has begun.
PREFILLED = {"qwen3-vl-thinking"}
CLOSING = {
    "qwen3": '<tool_call>{"name": "get_time", "arguments": {"zone": "a </tool_call> b"}}</tool_call>',
    "qwen3-coder": (
        "<tool_call><function=get_time><parameter=zone>\na </tool_call> b\n</parameter></function>"
        "</tool_call>"
    ),
    "glm-ocr": "<tool_call>get_time<arg_key>zone</arg_key><arg_value>a </tool_call> b</arg_value></tool_call>",
    "laguna": "<tool_call>get_time<arg_key>zone</arg_key><arg_value>a </tool_call> b</arg_value></tool_call>",
    "gemma4": '<|tool_call>call:get_time{zone:<|"|>a <tool_call|> b<|"|>}<tool_call|>',
    "functiongemma": (
        "<start_function_call>call:get_time{zone:<escape>a <end_function_call> b<escape>}"
        "<end_function_call>"
    ),
    "lfm2": '<|tool_call_start|>[get_time(zone="a <|tool_call_end|> b")]<|tool_call_end|>',
    "olmo3": '<function_calls>get_time(zone="a </function_calls> b")</function_calls>',
    "deepseek3": (
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{"zone": "a <｜tool▁call▁end｜> b"}'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
    "cohere": (
        '<|START_ACTION|>[{"tool_name": "get_time", "parameters": {"zone": "a <|END_ACTION|> b"}}]'
        "<|END_ACTION|>"
    ),
    "glimmer": (
        ' to=get_time<|message|><atem:function_calls><atem:invoke name="get_time">'
        '<atem:parameter name="zone">a <|eom|> b</atem:parameter></atem:invoke>'
        "</atem:function_calls><|eom|>"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSING)
def test_a_closing_tag_may_stand_in_a_value(name: str) -> None:
    text = CLOSING[name]
    for chunks in ([text], list(text)):
        found = parsed(name, chunks, False, lossless=True)

        (call,) = found.calls
        assert call.arguments["zone"].startswith("a <")
        assert call.arguments["zone"].endswith("> b")
        assert found.content == ""


SECTION, CALL = "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>"
OUTPUT, OUTPUT_END = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"
LFM_BAD = "<|tool_call_start|>oops<|tool_call_end|>"


@pytest.mark.parametrize(
    ("name", "text", "content", "lost"),
    [
        ("deepseek3", f"a \n{OUTPUT} 3 {OUTPUT_END} b", "a \n 3  b", ""),
        ("deepseek3", f'a{SECTION}{CALL}{{"zone": "UTC"}}<｜tool▁calls▁end｜> b', "ab", '{"zone": "UTC"}'),
        ("lfm2", f"a {LFM_BAD} b <|tool_call_start|>[stop()]<|tool_call_end|>", "a", "b <|tool_call_start|>[stop()]"),
        ("laguna", "a <think>b</think> c", "a c", ""),
        ("laguna", "a <user>nobody</user> b", "a <user>nobody</user> b", ""),
        ("laguna", 'a {"b": 1} c', 'a {"b": 1} c', ""),
        ("qwen3", "a <tool", "a", "<tool"),
    ],
)  # fmt: skip
def test_what_is_no_call_is_told_or_lost_as_by_ollama(
    name: str, text: str, content: str, lost: str
) -> None:
    for chunks in ([text], list(text)):
        found = parsed(name, chunks, False)

        assert found.content == content
        assert not found.calls
        assert lost in found.lost


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qwen3-coder", "<tool_call><function=get_time></function>word</tool_call>"),
        ("qwen3-vl-instruct", '<tool_call>{"arguments": {"zone": "word"}}</tool_call>'),
        ("qwen3", '<tool_call>{"name": "get_time", "zone": "word"}</tool_call>'),
        ("glm-ocr", "<tool_call>get_time<arg_key>zone</arg_key><arg_value>a</arg_value>word</tool_call>"),
        ("functiongemma", "<start_function_call>word call:get_time{}<end_function_call>"),
        ("cogito", f"{SECTION}{CALL}word"),
        ("gemma4", "<|tool_call>word{}<tool_call|>"),
        ("cohere", '<|START_ACTION|>[{"tool_name": "get_time"}, word]<|END_ACTION|>'),
        ("laguna", "<tool_call>get_time<arg_key>a</arg_key>word"),
        ("harmony", "<|channel|>commentary to=functions.get_time<|message|>{word"),
        ("glimmer", " to=get_time<|message|>word<|eot|>"),
        ("lfm2", "<|tool_call_start|>word<|tool_call_end|>"),
        ("olmo3", "<function_calls>get_time()\nword</function_calls>"),
        ("ministral", "[TOOL_CALLS]word[ARGS]{}"),
    ],
)  # fmt: skip
def test_what_is_not_only_a_call_is_no_call_where_nothing_may_be_lost(name: str, text: str) -> None:
    for chunks in ([f"a {text}"], list(f"a {text}")):
        found = parsed(name, chunks, False, lossless=True)

        assert not found.calls
        assert "word" in found.content


@pytest.mark.parametrize(
    "name", ["qwen3-coder", "glm-ocr", "gemma4", "functiongemma", "olmo3", "glimmer"]
)
def test_texts_that_a_schema_has_more_to_say_of_are_bound_too(name: str) -> None:
    schema = {"type": "string", "maxLength": 4}
    tool = Tool("look", {"properties": {"at": schema}, "required": ["at"]})
    calls = FORMATS[name].calls
    assert calls is not None
    written = walk(calls.shape((tool,)).document(), random.Random(1))
    parser = FORMATS[name].parser(Situation((tool,), False, lossless=True))
    (call,) = (parser.feed(calls.opens + written) + parser.end()).calls
    value = call.arguments["at"]

    assert '"maxLength": 4' in json.dumps(calls.shape((tool,)).document())
    assert json.dumps(value) in written or json.dumps(value, ensure_ascii=False) in written


def test_null_among_blanks_is_no_list() -> None:
    text = "<tool_call>get_weather<arg_key>hours</arg_key><arg_value> null</arg_value></tool_call>"

    assert parsed("glm-ocr", [text]).calls[0].arguments == {"hours": None}


def test_names_that_harmony_cannot_write_come_back() -> None:
    tools = tuple(type(TOOLS[0])(name) for name in ("get.time", "get-time", "2nd"))
    parser = FORMATS["harmony"].parser(Situation(tools))
    parser.feed("<|channel|>commentary to=functions.get_time_2<|message|>{}")

    assert [call.name for call in parser.end().calls] == ["get-time"]


def test_a_bad_call_of_deepseek_takes_no_other_with_it() -> None:
    call = '<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{"zone": "UTC"}<｜tool▁call▁end｜>'
    bad = "<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{oops<｜tool▁call▁end｜>"
    found = parsed("deepseek3", [f"<｜tool▁calls▁begin｜>{call}{bad}{call}<｜tool▁calls▁end｜>"])

    assert len(found.calls) == 2
    assert found.lost == bad
