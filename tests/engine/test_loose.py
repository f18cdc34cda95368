"""Where an answer begins with a loose call: the same for the engine as for the parser."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.engine.grammars import loose
from ollama_nb_server.engine.grammars.loose import LooseScanner
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.prompts.parsing import loose_calls
from serving import Serving

TRIGGER = b'"name": "look"'
PIECES = ["```", "json", "js", "\n", " ", "{", "[", "`", "word", '"', "x:"]


def found(pieces: list[str], trigger: bytes = TRIGGER) -> bytes | None:
    scanner = LooseScanner([trigger])
    for piece in pieces:
        if (hit := scanner.feed(piece.encode())) is not None:
            return hit[1]
    return None


@pytest.mark.parametrize("before", ["", "{", "[{ ", "```json\n{\n  ", "\n\n```\n{", "```JSON {"])
def test_a_trigger_counts_behind_markup(before: str) -> None:
    assert found([*before, *'"name": "loo', 'k", ']) == b", "


@pytest.mark.parametrize("before", ["Look: {", "x", "``` a {", '{"a": 1, ', " " * 200])
def test_it_does_not_behind_words(before: str) -> None:
    assert found([before, TRIGGER.decode()]) is None


def test_it_does_not_far_behind_blanks_in_whatever_pieces() -> None:
    assert found([" " * 90 + TRIGGER.decode()]) is None
    assert found([*(" " * 90), TRIGGER.decode()]) is None
    assert found([*(" " * 80), TRIGGER.decode() + "x"]) == b"x"


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=8))
def test_parser_and_engine_agree_on_what_is_before_it(pieces: list[str]) -> None:
    text = "".join(pieces)
    for ours, theirs in ((loose.LEAD, loose_calls.LEAD), (loose.MORE, loose_calls.MORE)):
        assert bool(ours.fullmatch(text.encode())) == bool(theirs.fullmatch(text))


PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def serving(demo_gguf):
    serving = Serving(demo_gguf)
    yield serving
    serving.close()


def bound(trigger: str) -> Grammar:
    """Where the answer begins with this, a number in brackets follows."""
    number = {"json": {"type": "integer", "minimum": 1, "maximum": 9}}
    loose_call = {"sequence": [{"text": trigger}, {"text": " ["}, number, {"text": "]"}]}
    return Grammar(
        "shape",
        json.dumps({"text": "never"}),
        triggers=("<never>",),
        loose=json.dumps(loose_call),
        loose_triggers=(trigger,),
    )


def test_the_beginning_of_an_answer_is_bound_by_it(serving) -> None:
    words = serving.answer(PROMPT, num_predict=40).text.split()
    answer = serving.answer(PROMPT, num_predict=40, grammar=bound(words[0])).text

    assert re.match(rf"{words[0]} \[[1-9]\]", answer)


def test_a_later_place_is_not(serving) -> None:
    free = serving.answer(PROMPT, num_predict=40).text
    answer = serving.answer(PROMPT, num_predict=40, grammar=bound(free.split()[3])).text

    assert answer == free
