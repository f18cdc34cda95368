"""No number is endless, whatever a model likes to write."""

import json
import random

import numpy as np
import pytest
from ollama_nb_server.engine.grammars.grammar import Compiled
from ollama_nb_server.engine.grammars.schemas.numerals import Numerals, NumeralState, Part
from ollama_nb_server.engine.messages import Grammar

MOST_TOKENS = 200
OF_NUMBERS = b"0123456789.eE+-"


@pytest.mark.parametrize(
    ("text", "part", "digits"),
    [
        (b"", Part.OUTSIDE, 0),
        (b"[", Part.OUTSIDE, 0),
        (b"[-", Part.WHOLE, 0),
        (b"[-12", Part.WHOLE, 2),
        (b"12.", Part.FRACTION, 0),
        (b"12.50", Part.FRACTION, 2),
        (b"12.50e-", Part.EXPONENT, 0),
        (b"1E+07", Part.EXPONENT, 2),
        (b"12, ", Part.OUTSIDE, 0),
        (b'{"12', Part.TEXT, 0),
        (b'"\\"12', Part.TEXT, 0),
        (b'"\\\\"12', Part.WHOLE, 2),
        (b'{"a": 1', Part.WHOLE, 1),
        (b"true", Part.OUTSIDE, 0),
        (b"[null, 3", Part.WHOLE, 1),
        (b"9" * 1000, Part.WHOLE, 17),
        (b'a text of 6 " in a tag\n12', Part.WHOLE, 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("step", [1, 3, 2000])
def test_a_place_is_known_however_the_text_is_cut(text, part, digits, step):
    place = NumeralState()
    for start in range(0, len(text), step):
        place = place.behind(text[start : start + step])

    assert place == NumeralState(part, digits)


@pytest.mark.parametrize(
    ("before", "more", "over"),
    [
        (b"", b"1" * 16, False),
        (b"", b"1" * 17, True),
        (b"1" * 15, b"12", True),
        (b"1" * 15, b"1.2", False),
        (b"1" * 16, b".", False),
        (b"1." + b"3" * 16, b"3", True),
        (b"1." + b"3" * 16, b"e9", False),
        (b"1e9", b"9", False),
        (b"1e9", b"99", True),
        (b'"' + b"1" * 50, b"1", False),
        (b"1" * 16, b", 5", False),
    ],
    ids=str,
)
def test_what_gives_a_number_too_many_digits_is_told(before, more, over):
    assert NumeralState().behind(before).overruns(more) is over


def test_tokens_that_run_on_are_taken_out_of_a_mask():
    numerals = Numerals([b"1", b"12", b",", b'"', b".5"], mask_words=1)
    mask = np.array([0b11111], np.int32)

    numerals.narrow(NumeralState(Part.WHOLE, 15), mask)

    assert mask.tolist() == [0b11101]


def test_a_text_that_is_no_json_may_have_as_many_digits_as_it_likes():
    tokens = [b"1", b"z", b'"']
    everything = np.array([0b111], np.int32)

    Numerals(tokens, 1).narrow(NumeralState(Part.WHOLE, 16), everything)

    assert everything.tolist() == [0b111]


def test_a_mask_is_never_left_without_a_token():
    numerals = Numerals([b"1", b"12", b","], mask_words=1)
    mask = np.array([0b011], np.int32)

    numerals.narrow(NumeralState(Part.WHOLE, 16), mask)

    assert mask.tolist() == [0b011]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": "number"},
        {"type": "number", "minimum": 0.1, "maximum": 0.3},
        {"type": "number", "minimum": 0},
        {"type": "array", "items": {"type": "number"}, "maxItems": 2},
        {"type": "object", "properties": {"a": True}, "required": ["a"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(4))
def test_who_likes_digits_best_still_comes_to_an_end(compiler, vocabulary, schema, seed):
    compiled = Compiled(compiler.compile(Grammar("json_schema", json.dumps(schema))))

    text = digits_first(compiled, vocabulary, random.Random(seed))

    for number in np.atleast_1d(np.hstack(numbers(json.loads(text)))):
        assert np.isfinite(number)


def numbers(value) -> list:
    inner = value.values() if isinstance(value, dict) else value
    return [0.0, *inner] if isinstance(value, dict | list) else [float(value)]


def digits_first(compiled: Compiled, vocabulary: list[bytes], chance: random.Random) -> str:
    """An answer of the longest tokens of digits that may follow, and others only without them."""
    matcher, place, data = compiled.answer(), NumeralState(), b""
    numerals = Numerals(vocabulary, compiled.bases.mask_words)
    for _ in range(MOST_TOKENS):
        mask = np.zeros(compiled.bases.mask_words * 32, np.uint8)
        mask[matcher.allowed()] = 1
        words = np.packbits(mask, bitorder="little").view(np.int32)
        numerals.narrow(place, words)
        left = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist()
        digits = [t for t in left if vocabulary[t] and set(vocabulary[t]) <= set(OF_NUMBERS)]
        token = chance.choice(digits or left)
        if vocabulary[token].startswith(b"\xff"):
            return data.decode()
        matcher.take(token)
        place, data = numerals.place(place, token), data + vocabulary[token]
        if matcher.complete:
            return data.decode()
    raise AssertionError(f"no end: {data!r}")
