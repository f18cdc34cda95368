import json
import math

import numpy as np
import pytest
from ollama_nb_server.engine.messages import Delta, Grammar, SamplingParams
from ollama_nb_server.engine.sampling.logprobs import Pieces, measured

PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"
EVEN = np.zeros(256, np.float32)


def pieces(told) -> list:
    return [piece for event in told if isinstance(event, Delta) for piece in event.logprobs]


def text_of(told) -> str:
    return "".join(event.text for event in told if isinstance(event, Delta))


# --- numbers --------------------------------------------------------------------------------------


def test_the_probabilities_of_all_tokens_add_up_to_one():
    logits = np.random.default_rng(1).normal(0, 8, 500).astype(np.float32)

    total = sum(math.exp(measured(logits, token, 0)[0]) for token in range(500))

    assert total == pytest.approx(1, abs=1e-5)


def test_the_likeliest_come_first():
    logits = np.array([1.0, 5.0, 3.0, -np.inf], np.float32)

    own, best = measured(logits, 0, 2)

    assert [token for token, _ in best] == [1, 2]
    assert own == pytest.approx(1 - math.log(math.e + math.e**5 + math.e**3))


def test_no_more_alternatives_than_tokens():
    assert len(measured(np.zeros(3, np.float32), 0, 20)[1]) == 3


# --- pieces ---------------------------------------------------------------------------------------


def made(texts: list[bytes], count: int = 0) -> Pieces:
    told = Pieces(count, lambda token: bytes([token]))
    for data in texts:
        told.add(EVEN, 0, data)
    return told


def test_tokens_of_one_character_are_one_piece_with_the_sum_of_their_logarithms():
    (piece,) = made([b"\xf0", b"\x9f\x98", b"\x80"]).told("😀", last=False)

    assert (piece.text, piece.bytes) == ("😀", (240, 159, 152, 128))
    assert piece.logprob == pytest.approx(-3 * math.log(256))


def test_alternatives_of_a_cut_character_share_its_beginning():
    told = Pieces(1, lambda token: b"\xa9")
    told.add(EVEN, 0, b"\xc3")
    told.add(EVEN, 0, b"\xa8")

    (piece,) = told.told("è", last=False)

    assert piece.alternatives[0].text == "é"


def test_a_character_that_never_became_whole_keeps_its_bytes():
    (piece,) = made([b"\xf0\x9f"]).told("", last=True)

    assert (piece.text, piece.bytes) == ("", (240, 159))


def test_a_piece_is_told_when_all_of_its_text_is():
    told = made([b"ab", b"cd"])

    assert [p.text for p in told.told("abc", last=False)] == ["ab"]
    assert [p.text for p in told.told("d", last=False)] == ["cd"]


def test_what_a_stop_string_cuts_off_is_not_told():
    told = made([b"ab", b"cd", b"ef"]).told("abc", last=True)

    assert [(p.text, p.bytes) for p in told] == [("ab", (97, 98)), ("c", (99,))]


# --- real answers ---------------------------------------------------------------------------------


async def test_nothing_is_told_unasked(worker, events):
    assert pieces(await events(worker, PROMPT)) == []


@pytest.mark.parametrize("count", [0, 1, 3, 20])
async def test_every_token_comes_with_so_many_alternatives(worker, events, count):
    told = await events(worker, PROMPT, logprobs=count)

    assert {len(piece.alternatives) for piece in pieces(told)} == {count}
    assert len(pieces(told)) == told[-1].eval_count
    assert "".join(piece.text for piece in pieces(told)) == text_of(told)


async def test_a_greedy_answer_is_made_of_the_likeliest_tokens(worker, events):
    told = pieces(await events(worker, PROMPT, logprobs=1))

    assert all(piece.alternatives[0].text == piece.text for piece in told)
    assert all(piece.alternatives[0].logprob == piece.logprob <= 0 for piece in told)


async def test_the_distribution_is_the_raw_one_whatever_is_sampled(worker, events):
    wishes = {"logprobs": 3, "num_predict": 1}
    hot = SamplingParams(seed=1, temperature=3.0, top_k=2, repeat_penalty=1.9)

    plain = pieces(await events(worker, PROMPT, **wishes))
    other = pieces(await events(worker, PROMPT, sampling=hot, **wishes))
    bound = pieces(await events(worker, PROMPT, grammar=Grammar("json_object"), **wishes))

    assert plain[0].alternatives == other[0].alternatives == bound[0].alternatives


async def test_probabilities_do_not_change_an_answer(worker, events):
    hot = SamplingParams(seed=4, temperature=1.2)

    assert text_of(await events(worker, PROMPT, sampling=hot)) == text_of(
        await events(worker, PROMPT, sampling=hot, logprobs=5)
    )


async def test_forced_tokens_have_their_probabilities_too(worker, events):
    document = {"type": "object", "properties": {"mood": {"enum": ["sad"]}}, "required": ["mood"]}
    grammar = Grammar("json_schema", json.dumps(document))

    told = await events(worker, PROMPT, grammar=grammar, logprobs=2)

    assert "".join(piece.text for piece in pieces(told)) == '{"mood": "sad"}'
    assert all(piece.logprob <= piece.alternatives[0].logprob for piece in pieces(told))


async def test_pieces_end_where_a_stop_string_cuts_the_answer(worker, events):
    whole = text_of(await events(worker, PROMPT))

    told = await events(worker, PROMPT, logprobs=0, stop=(whole[20:28],))

    assert text_of(told) == whole[:20]
    assert "".join(piece.text for piece in pieces(told)) == whole[:20]
