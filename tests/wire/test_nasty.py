"""Reading requests: whatever JSON comes, what is wrong is said in an error of the wire's own."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama_nb_server.answering.constraint import constraint
from ollama_nb_server.answering.output import Offer, OutputPlan, rendered_id
from ollama_nb_server.environment import MAX_COUNT, Settings
from ollama_nb_server.prompts.parsing.generic import generic
from ollama_nb_server.prompts.parsing.parts import Situation
from ollama_nb_server.scheduling.activity import ModelMemory
from ollama_nb_server.wire import bounds
from ollama_nb_server.wire.bounds import BOUNDS, MAX_DEPTH, MAX_MESSAGES, MAX_TEXTS, MAX_VALUES
from ollama_nb_server.wire.chat import ChatRequest
from ollama_nb_server.wire.durations import KeepAlive
from ollama_nb_server.wire.embed import EmbeddingsRequest, EmbedRequest, EmbedResponse
from ollama_nb_server.wire.encoding import LARGE_VALUES, encoded, pieces
from ollama_nb_server.wire.errors import BadBody, InvalidFormat, RequestError, TooMuch, describe
from ollama_nb_server.wire.extras import Extras, ListedExtras
from ollama_nb_server.wire.generate import GenerateRequest, GenerateResponse
from ollama_nb_server.wire.golike import read
from ollama_nb_server.wire.logprobs import Logprob
from ollama_nb_server.wire.models import (
    CopyRequest,
    CreateRequest,
    DeleteRequest,
    PullRequest,
    PushRequest,
    ShowRequest,
)
from ollama_nb_server.wire.options import READERS, Options
from ollama_nb_server.wire.score import ScoreRequest
from ollama_nb_server.wire.times import local
from ollama_nb_server.wire.tokens import DetokenizeRequest, TokenizeRequest

ROOT = Path(__file__).resolve().parents[2]
KINDS = [
    GenerateRequest, ChatRequest, EmbedRequest, EmbeddingsRequest, ShowRequest, CreateRequest,
    CopyRequest, DeleteRequest, PullRequest, PushRequest, ScoreRequest, TokenizeRequest, DetokenizeRequest,
]  # fmt: skip
NUMBERS = [
    "1e400", "-1e400", "1e308", "-1e308", "1e13", "1e-400", "-0.0", "0.5", "-1", "0", "1",
    "2147483648", "-2147483649", "9223372036854775808", "-9223372036854775809",
    "18446744073709551616", "1" * 400, "-" + "9" * 5000, "NaN", "Infinity", "-Infinity",
]  # fmt: skip
OTHERS = [
    "null", "true", '""', '"x"', '"\\ud800"', '"\\u2028"', '"1e400h"', '"9999999999999h"', "[]", "{}",
    "[null]", '[""]', '["x", 5]', '{"a": "b"}', "[[[]]]", "[-1]", "[4294967296]", '[{"x": 1e400}]',
    "[" * 150 + "]" * 150, "[" * 260 + "]" * 260, '{"a":' * 5000 + "1" + "}" * 5000,
]  # fmt: skip
PLAIN_OUTPUT = OutputPlan(
    generic(Situation(), None, None), (), None, None, calls_last=False, new_id=rendered_id
)
NASTY = st.sampled_from([*NUMBERS, *OTHERS])


def words(kind: type[Any]) -> list[str]:
    """The names of a request's fields, options too."""
    return [field.alias or name for name, field in kind.model_fields.items()]


def through(kind: type[Any], body: bytes) -> None:
    """Read a request as its verb does, with all that is done before a model is asked for."""
    request = read(kind, body)
    if kind is EmbedRequest:
        _ = request.texts
    if kind is ScoreRequest:
        request.check()
    if kind is TokenizeRequest:
        _ = request.all_texts
    if kind is DetokenizeRequest:
        _ = request.lists
    options = Options.merge({}, getattr(request, "options", None))
    if kind in (GenerateRequest, ChatRequest):
        constraint(request.format, options, PLAIN_OUTPUT)
    if kind is ChatRequest:
        Offer.of(request.tools, request.tool_choice)
    if keep_alive := getattr(request, "keep_alive", None):
        local(1e9 + keep_alive.seconds)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50)
@given(data=st.data())
def test_every_field_takes_everything_or_says_so(kind: type[Any], data: st.DataObject) -> None:
    names = st.sampled_from([*words(kind), "unknown"])
    fields = data.draw(st.dictionaries(names, NASTY, max_size=4))
    options = data.draw(st.dictionaries(st.sampled_from([*READERS, "unknown"]), NASTY, max_size=3))
    told = ", ".join(f'"{name}": {value}' for name, value in options.items())
    parts = [f'"{name}": {value}' for name, value in fields.items()]
    body = "{" + ", ".join([*parts, *([f'"options": {{{told}}}'] if options else [])]) + "}"

    with suppress(RequestError):
        through(kind, body.encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50)
@given(data=st.data())
def test_any_json_at_all(kind: type[Any], data: st.DataObject) -> None:
    body = data.draw(st.dictionaries(st.sampled_from(words(kind)), JSON) | JSON)

    with suppress(RequestError):
        through(kind, json.dumps(body).encode())


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400, "9" * 5000])
def test_numbers_that_go_has_not_are_refused(number: str) -> None:
    with pytest.raises(BadBody, match="cannot unmarshal number"):
        read(GenerateRequest, f'{{"options": {{"seed": {number}}}}}'.encode())


@pytest.mark.parametrize("kind", KINDS)
def test_the_depth_of_a_body_is_bounded(kind: type[Any]) -> None:
    def deep(depth: int) -> bytes:
        return b'{"unknown":' * (depth - 1) + b"{}" + b"}" * (depth - 1)

    read(kind, deep(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 900, 50_000):
        with pytest.raises(BadBody, match="exceeded max depth"):
            read(kind, deep(depth))
        with pytest.raises(BadBody, match="exceeded max depth"):
            read(kind, deep(depth).replace(b"{}", b'{"lone":"\\ud800"}'))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (GenerateRequest, b'{"context": [' + b"1," * MAX_VALUES + b"1]}"),
        (GenerateRequest, b'{"options": {"x": [' + b"[]," * MAX_VALUES + b"1]}}"),
        (ChatRequest, json.dumps({"messages": [{}] * (MAX_MESSAGES + 1)}).encode()),
        (ChatRequest, json.dumps({"tools": [{}] * (bounds.MAX_TOOLS + 1)}).encode()),
        (ChatRequest, json.dumps({"messages": [{"images": ["A" * (bounds.MAX_IMAGE_CHARS + 4)]}]}).encode()),
        (EmbedRequest, json.dumps({"input": [""] * (MAX_TEXTS + 1)}).encode()),
        (EmbedRequest, json.dumps({"input": ["x" * (bounds.MAX_TEXT_CHARS + 1)]}).encode()),
        (EmbeddingsRequest, json.dumps({"prompt": "x" * (bounds.MAX_TEXT_CHARS + 1)}).encode()),
        (GenerateRequest, json.dumps({"prompt": "x" * (bounds.MAX_TEXT_CHARS + 1)}).encode()),
        (GenerateRequest, json.dumps({"suffix": "x" * (bounds.MAX_TEXT_CHARS + 1)}).encode()),
        (ChatRequest, json.dumps({"messages": [{"content": "x" * (bounds.MAX_TEXT_CHARS + 1)}]}).encode()),
        (TokenizeRequest, json.dumps({"texts": [""] * (MAX_TEXTS + 1)}).encode()),
        (TokenizeRequest, json.dumps({"texts": ["x" * (bounds.MAX_TEXT_CHARS // 2 + 1)] * 2}).encode()),
        (ScoreRequest, json.dumps({"prompt": "x", "choices": ["x"] * (bounds.MAX_CHOICES + 1)}).encode()),
        (ScoreRequest, json.dumps({"prompt": "x", "choices": ["x" * (bounds.MAX_CHOICE_CHARS + 1)]}).encode()),
        (ScoreRequest, json.dumps({"prompts": ["x"] * (bounds.MAX_PROMPTS + 1), "choices": ["x"]}).encode()),
        (ScoreRequest, json.dumps({"prompts": ["x"] * 1000, "choices": ["x" * 2001]}).encode()),
        (ScoreRequest, json.dumps({"prompts": ["x" * (bounds.MAX_TEXT_CHARS // 2 + 1)] * 2, "choices": ["x"]}).encode()),
        (GenerateRequest, json.dumps({"options": {"stop": ["x"] * (bounds.MAX_STOPS + 1)}}).encode()),
        (GenerateRequest, json.dumps({"options": {"stop": ["x" * (bounds.MAX_STOP_CHARS + 1)]}}).encode()),
    ],
    ids=["values", "brackets", "messages", "tools", "image", "texts", "input", "embeddings", "prompt", "suffix", "content", "tokenize texts", "tokenize text", "choices", "choice", "prompts", "scores", "all prompts", "stops", "stop"],
)  # fmt: skip
def test_too_much_is_refused_in_one_sentence(kind: type[Any], body: bytes) -> None:
    with pytest.raises(TooMuch) as caught:
        through(kind, body)

    status, sentence = describe(caught.value) or (0, "")
    assert status == 400
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1e13, math.inf),
        (10**30, math.inf),
        (1e308, math.inf),
        (-1e308, math.inf),
        (bounds.MAX_DURATION_S, bounds.MAX_DURATION_S),
        (5e-324, 5e-324),
        ("2562047h", 2562047 * 3600.0),
    ],
)
def test_keep_alive_beyond_gos_nanoseconds(value: object, seconds: float) -> None:
    assert KeepAlive.of(value).seconds == seconds
    assert local(1.7e9 + seconds)[:4].isdigit()


@pytest.mark.parametrize("text", ["2562048h", "1e13s", "9" * 400 + "s", "9" * 50 + "ns", "1s" * 51])
def test_go_refuses_such_durations_as_text(text: str) -> None:
    with pytest.raises(BadBody, match="time: "):
        KeepAlive.of(text)


@pytest.mark.parametrize("seconds", [math.inf, 1e18, 1e308, 2.6e11, math.nan])
def test_times_that_no_calendar_has_are_far(seconds: float) -> None:
    assert local(seconds).startswith("2319-")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e300, 10**100, -(10**100)])
def test_a_models_parameters_may_hold_any_number(number: float) -> None:
    for name in READERS:
        try:
            value = getattr(Options.merge({name: number}, None), name)
        except RequestError:
            continue
        assert value is None or value in (False, True) or abs(value) <= bounds.MAX_FLOAT


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("OLLAMA_KEEP_ALIVE", "10000000000000", "keep_alive_s", math.inf),
        ("OLLAMA_KEEP_ALIVE", "9" * 5000, "keep_alive_s", math.inf),
        ("OLLAMA_KEEP_ALIVE", "²", "keep_alive_s", 300.0),
        ("OLLAMA_KEEP_ALIVE", "2562048h", "keep_alive_s", 300.0),
        ("OLLAMA_KEEP_ALIVE", "+-5", "keep_alive_s", 300.0),
        ("OLLAMA_LOAD_TIMEOUT", "9" * 400, "load_timeout_s", math.inf),
        ("OLLAMA_CONTEXT_LENGTH", "9" * 5000, "context_length", 0),
        ("OLLAMA_CONTEXT_LENGTH", "9999999999", "context_length", MAX_COUNT),
        ("OLLAMA_MAX_QUEUE", "-1", "max_queue", 512),
        ("OLLAMA_HOST", "[::1", "host", "127.0.0.1"),
        ("OLLAMA_HOST", "a:b:c", "port", 11434),
    ],
)
def test_a_bad_environment_is_the_default(
    variable: str, text: str, field: str, value: object
) -> None:
    assert getattr(Settings.from_environ({variable: text}), field) == value


@pytest.mark.parametrize("value", ["x" * 10**6, ["x"] * 10**6, [["y" * 10**6]]])
def test_a_sentence_that_names_what_was_sent_stays_short(value: object) -> None:
    _, sentence = describe(InvalidFormat(value)) or (0, "")

    assert len(sentence) < 2 * bounds.MAX_SENTENCE_CHARS


TOKEN = Logprob("a", -0.5, (97,), (Logprob("b\u2028", -1.0, (98,)),))


@pytest.mark.parametrize(
    ("answer", "num_pieces"),
    [
        (EmbedResponse("m", np.linspace(0, 1, 60_000, dtype=np.float32).reshape(-1, 30), 5, 6, 7), 15),
        (EmbedResponse("m", np.zeros((1, 50_000), np.float32)), 1),
        (EmbedResponse("m", np.zeros((9, 0), np.float32)), 1),
        (GenerateResponse("m", 0, "x", True, "stop", context=list(range(50_000)), eval_count=3), 190),
        (GenerateResponse("m", 0, "x", True, "stop", logprobs=(TOKEN,) * 20_000), 75),
    ],
)  # fmt: skip
def test_a_long_answer_is_the_same_in_pieces(answer: Any, num_pieces: int) -> None:
    parts = list(pieces(answer.document()))

    assert b"".join(parts) == answer.encode()
    assert len(parts) > num_pieces


def test_what_is_long() -> None:
    assert EmbedResponse("m", np.zeros((10_000, 8), np.float32)).num_values > LARGE_VALUES
    assert GenerateResponse("m", 0, "", logprobs=(TOKEN,) * 20_000).num_values > LARGE_VALUES


def test_no_answer_at_all_in_pieces() -> None:
    assert b"".join(pieces({})) == encoded({})


def rows(heading: str) -> list[tuple[str, ...]]:
    """The table below a heading of the page, without its own heading."""
    page = (ROOT / "docs/http-api.md").read_text("utf-8")
    (section,) = [part for part in page.split("\n## ") if part.startswith(heading)]
    return re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", section, re.M)[1:]


def test_the_bounds_are_documented() -> None:
    assert rows("Bounds") == [(b.what, b.most, b.beyond) for b in BOUNDS]


def test_the_keys_of_nb_are_documented() -> None:
    named = {key for row in rows("More than") for key in re.findall(r"`(\w+)`", row[0])}

    kinds = Extras, ListedExtras, ModelMemory
    assert named == {field.name for kind in kinds for field in dataclasses.fields(kind)}
