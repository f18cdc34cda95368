"""Limits on thoughts: at the budget the closing tag is written, and the answer begins.

The bundled model thinks nothing; what it writes greedily is known, and counts as a thought.
"""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from ollama_nb_server.engine.messages import Delta, Grammar, LoadSpec, Thinking
from ollama_nb_server.engine.process import Worker
from serving import Serving

PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"
TAGS = ("<think>", "</think>")
MOOD = {
    "type": "object",
    "properties": {"mood": {"enum": ["happy", "sad"]}, "stars": {"type": "integer"}},
    "required": ["mood", "stars"],
}
MARK = {"sequence": [{"text": "("}, {"json": {"enum": [1, 2]}}, {"text": ")"}]}


@pytest.fixture(scope="module")
def serving(demo_gguf):
    serving = Serving(demo_gguf)
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def tagged(tagged_gguf):
    """The same with control tokens for thoughts, which it never writes by itself."""
    serving = Serving(tagged_gguf)
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def pieces(serving) -> list[str]:
    """The tokens of its greedy answer."""
    return serving.answer(PROMPT, num_predict=400).pieces


def begun(budget: int, closes: str = "</think>") -> Thinking:
    return Thinking("<think>", closes, begun=True, budget=budget)


@pytest.mark.parametrize("budget", [0, 1, 2, 7, 30])
def test_a_thought_is_as_long_as_its_budget(serving, pieces, budget):
    told = serving.answer(PROMPT, num_predict=60, thinking=begun(budget))

    thought, _, answer = told.text.partition("</think>")
    assert thought == "".join(pieces[:budget])
    assert answer


@pytest.mark.parametrize("budget", [0, 4])
def test_a_tag_that_is_a_token_is_written_as_one(tagged, budget):
    free = tagged.answer(PROMPT, num_predict=budget).text if budget else ""

    told = tagged.answer(PROMPT, num_predict=budget + 1, thinking=begun(budget), tags=TAGS)

    assert told.text == f"{free}</think>"


@pytest.mark.parametrize("budget", [-1, 90, 400])
def test_a_shorter_thought_stays_as_it_is(serving, pieces, budget):
    told = serving.answer(PROMPT, num_predict=400, thinking=begun(budget))

    assert (told.pieces, told.end.reason) == (pieces, "stop")


def test_the_tokens_of_the_closing_tag_do_not_count(serving, pieces):
    tag = "".join(pieces[10:14])

    told = serving.answer(PROMPT, num_predict=400, thinking=begun(10, tag))

    assert told.text.partition(tag)[0] == "".join(pieces[:10])
    assert told.text.count(tag) == 1


@pytest.mark.parametrize("budget", [11, 12, 13])
def test_a_closing_tag_that_has_begun_is_finished(serving, pieces, budget):
    tag = "".join(pieces[10:14])

    told = serving.answer(PROMPT, num_predict=400, thinking=begun(budget, tag))

    assert told.text == "".join(pieces)


def test_where_no_thought_begins_nothing_happens(serving, pieces):
    thinking = Thinking("<think>", "</think>", budget=0)

    assert serving.answer(PROMPT, num_predict=400, thinking=thinking).pieces == pieces


@pytest.mark.parametrize("length", [2, 5, 9], ids=["a part of a word", "a word", "half of two"])
@pytest.mark.parametrize("budget", [0, 3])
def test_a_thought_counts_behind_its_opening_tag(serving, pieces, length, budget):
    opens = "".join(pieces)[:length]
    tokens = next(n for n in range(9) if len("".join(pieces[:n])) >= length)

    told = serving.answer(
        PROMPT, num_predict=40, thinking=Thinking(opens, "</think>", False, budget)
    )

    assert told.text.partition("</think>")[0] == "".join(pieces[: tokens + budget])


@pytest.mark.parametrize("budget", [0, 6])
@pytest.mark.parametrize("opens", ["", "There"], ids=["has begun", "begins"])
def test_a_format_holds_behind_a_thought_that_was_cut(serving, pieces, opens, budget):
    grammar = Grammar("json_schema", json.dumps(MOOD), "</think>")
    thinking = Thinking("There", "</think>", begun=not opens, budget=budget)

    told = serving.answer(PROMPT, num_predict=200, grammar=grammar, thinking=thinking)

    thought, _, answer = told.text.partition("</think>")
    assert thought == "".join(pieces[:budget])
    Draft202012Validator(MOOD).validate(json.loads(answer))


def test_a_required_call_follows_a_thought_that_was_cut(serving, pieces):
    grammar = Grammar("shape", json.dumps(MARK), "</think>", triggers=("<call>",), required=True)

    told = serving.answer(PROMPT, num_predict=40, grammar=grammar, thinking=begun(5))

    thought, _, answer = told.text.partition("</think>")
    assert thought == "".join(pieces[:5])
    assert answer.lstrip()[:9] in ("<call>(1)", "<call>(2)")


@pytest.mark.parametrize("triggers", [(" robot",), ("<call>",)], ids=["a call", "none"])
def test_a_call_ends_a_thought_and_its_budget(serving, triggers):
    grammar = Grammar("shape", json.dumps(MARK), triggers=triggers)

    text = serving.answer(PROMPT, num_predict=60, grammar=grammar, thinking=begun(12)).text

    assert ("</think>" in text) == (triggers == ("<call>",))


def test_the_budget_of_tokens_can_end_in_a_thought_or_its_tag(serving, pieces):
    texts = [
        serving.answer(PROMPT, num_predict=n, thinking=begun(3)).text for n in (2, 3, 5, 8, 20)
    ]

    assert texts[:2] == ["".join(pieces[:2]), "".join(pieces[:3])]
    assert texts[2].partition("<")[0] == texts[1]
    assert all(texts[-1].startswith(text) for text in texts)


def test_a_stop_string_is_found_in_the_tag(serving, pieces):
    told = serving.answer(PROMPT, thinking=begun(3), stop=("</think",))

    assert (told.text, told.end.reason) == ("".join(pieces[:3]), "stop")


async def test_probabilities_come_for_the_tag_too(worker, events):
    *told, _ = await events(worker, PROMPT, thinking=begun(3), logprobs=1, num_predict=30)

    text = "".join(event.text for event in told if isinstance(event, Delta))
    assert "".join(piece.text for event in told for piece in event.logprobs) == text
    assert "</think>" in text


@pytest.mark.parametrize("budget", [0, 8])
async def test_a_published_model_answers_when_its_budget_is_used_up(qwen_coder, ask, budget):
    worker = await Worker.start(LoadSpec(str(qwen_coder), num_ctx=256, num_parallel=1))
    asked = "<|im_start|>user\nHow much is {}?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    shown = "I add the first number to the second one.\n</think> It is 3.<|im_end|>\n"

    turns = asked.format("1 + 2") + shown + asked.format("2 + 2")
    text, _ = await ask(worker, turns, thinking=begun(budget), num_predict=24)
    thought, _, answer = text.partition("</think>")
    tokens = await worker.tokenize(thought)

    await worker.stop()
    assert len(tokens) == budget
    assert answer == " It is 4."
