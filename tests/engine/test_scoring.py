"""How likely texts are behind prompts: the numbers of answers, whoever else is computed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from altered import write_altered
from ollama_nb_server.engine.batching.planner import BatchPlanner
from ollama_nb_server.engine.messages import (
    Failed,
    Finished,
    Grammar,
    ImageSegment,
    LoadSpec,
    Priority,
    TextSegment,
)
from ollama_nb_server.engine.native import Model, NativeLog
from ollama_nb_server.engine.scores.choice_tree import ChoiceTree
from ollama_nb_server.engine.scores.encoded import spelled_behind
from ollama_nb_server.engine.scores.jobs import DRAWS_NOTHING
from ollama_nb_server.engine.scores.scoring import MAX_RUN, PromptScores
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.text import TextStream
from serving import Answer, Serving, by_choice
from vision_models import noise

PROMPTS = ["Once upon a time", "The cat sat on the mat and was very", "A " * 90 + "dog"]
CHOICES = ["positive", "negative", "neutral", " very positive", " very negative", "a", " very"]
SINGLE = ["a", "b", "c"]  # tokens of every vocabulary here
LONG = "there was a funny little robot who lived in a very big house" * 2
MODELS = ["demo_gguf", "q4_k_gguf", pytest.param("smollm2", marks=pytest.mark.real)]
NUM_SLOTS = 4
ROUNDING = 0.5  # what the number of rows that are computed together may do: docs/reproducibility.md


@pytest.fixture(scope="module", params=["demo_gguf", "mamba_gguf"])
def serving(request):
    path = request.getfixturevalue(request.param)
    serving = Serving(path, num_parallel=NUM_SLOTS, prefix_cache_bytes=0)
    yield serving
    serving.close()


ATTENDING = pytest.mark.parametrize("serving", MODELS, indirect=True)  # that can forget
RECURRENT = pytest.mark.parametrize("serving", ["mamba_gguf"], indirect=True)
ONE = pytest.mark.parametrize("serving", ["demo_gguf"], indirect=True)


def written(serving: Serving, prompt: Any, text: str) -> list[float]:
    """The probabilities that an answer tells of its tokens if it is to be this text."""
    grammar = Grammar("gbnf", f'root ::= "{text}"')
    wishes = {"grammar": grammar, "logprobs": 0, "num_predict": -1, "reproducible": True}
    answer = serving.answer(prompt, **wishes)
    assert answer.text == text
    return [piece.logprob for piece in answer.logprobs]


def nodes_of(serving: Serving, prompts: Any, choices: Any, **wishes: Any) -> int:
    before = serving.nodes
    serving.scores(prompts, choices, **wishes)
    return serving.nodes - before


# --- the numbers ----------------------------------------------------------------------------------


@ATTENDING
def test_they_are_what_an_answer_of_this_text_tells_to_the_last_bit(serving):
    (scores,) = serving.scores(PROMPTS[1:2], CHOICES, reproducible=True)

    for choice, score in zip(CHOICES, scores, strict=True):
        assert score == written(serving, PROMPTS[1], choice)


@RECURRENT
def test_a_memory_that_cannot_forget_computes_the_prompt_again(serving):
    (scores,) = serving.scores(PROMPTS[1:2], CHOICES, reproducible=True)

    for choice, score in zip(CHOICES, scores, strict=True):
        assert score == pytest.approx(written(serving, PROMPTS[1], choice), abs=1e-2)


@ONE
def test_they_are_those_of_an_answer_that_the_model_chose(serving):
    answer = serving.answer(PROMPTS[0], logprobs=0, num_predict=5, reproducible=True)

    ((score,),) = serving.scores(PROMPTS[:1], [answer.text], reproducible=True)

    assert sum(score) == pytest.approx(sum(piece.logprob for piece in answer.logprobs), abs=1e-6)


@ONE
def test_unless_they_are_to_be_reproducible_they_are_computed_in_pieces(serving):
    (exact,) = serving.scores(PROMPTS[:1], [*CHOICES, LONG], reproducible=True)
    (rows,) = serving.scores(PROMPTS[:1], [*CHOICES, LONG])

    for one, other in zip(exact, rows, strict=True):
        assert one == pytest.approx(other, abs=ROUNDING)


@ATTENDING
def test_a_choice_s_score_is_its_own_whatever_the_others_are(serving):
    (together,) = serving.scores(PROMPTS[:1], CHOICES, reproducible=True)
    alone = [serving.scores(PROMPTS[:1], [c], reproducible=True)[0][0] for c in CHOICES]

    assert together == alone


@pytest.mark.parametrize("serving", ["demo_gguf", "q4_k_gguf"], indirect=True)
def test_a_prompt_s_scores_are_its_own_whoever_else_is_served(serving):
    alone = [serving.scores([prompt], CHOICES, reproducible=True)[0] for prompt in PROMPTS]

    story = serving.ask("The dog", reproducible=True, num_predict=40)
    request = serving.score(PROMPTS * 3, CHOICES, reproducible=True)
    serving.score(PROMPTS, CHOICES)
    serving.run()

    assert by_choice(serving.answers[request].end) == alone * 3
    assert serving.answers[story].text == serving.answer("The dog", num_predict=40, reproducible=True).text  # fmt: skip


def test_equal_choices_have_equal_scores(serving):
    ((one, two, other),) = serving.scores(PROMPTS[:1], [CHOICES[0], CHOICES[0], "a"])

    assert one == two != other


def test_more_prompts_than_slots_are_answered_in_their_order(serving):
    prompts = [f"{'The ' * n}cat" for n in range(1, 3 * NUM_SLOTS)]
    request = serving.score(prompts, CHOICES)
    serving.run()

    end = serving.answers[request].end
    lengths = [serving.scores([prompt], CHOICES)[0] for prompt in prompts]
    for scores, alone in zip(by_choice(end), lengths, strict=True):
        assert sum(map(sum, scores)) == pytest.approx(sum(map(sum, alone)), rel=0.05)
    assert end.eval_count == len(prompts) * sum(map(len, end.tokens))
    assert end.prompt_count == sum(
        serving.answer(prompt, num_predict=1).end.prompt_count for prompt in prompts
    )


# --- what it costs --------------------------------------------------------------------------------


def test_choices_of_one_token_cost_nothing_but_the_prompt(serving):
    before = serving.nodes
    serving.answer(PROMPTS[2], num_predict=1)
    prefill = serving.nodes - before

    assert nodes_of(serving, PROMPTS[2:], SINGLE) == prefill


@ONE
def test_what_choices_begin_with_alike_is_computed_once(serving):
    one = nodes_of(serving, PROMPTS[:1], [" very very a"])
    alike = nodes_of(serving, PROMPTS[:1], [" very very a", " very very b", " very very c"])
    unlike = nodes_of(serving, PROMPTS[:1], [" very very a", " big big b", " cat cat c"])

    assert alike == one < unlike


def test_short_prompts_share_batches(serving):
    one = nodes_of(serving, PROMPTS[:1], SINGLE)

    assert nodes_of(serving, PROMPTS[:1] * NUM_SLOTS, SINGLE) < NUM_SLOTS * one


def test_what_prompts_begin_with_alike_is_computed_once(demo_gguf):
    serving = Serving(demo_gguf, num_parallel=NUM_SLOTS)
    prompts = [f"{'The cat sat on the mat. ' * 20}{word}" for word in "abcdefghij"]
    request = serving.score(prompts, CHOICES)
    serving.run()

    end = serving.answers[request].end
    alone = [serving.scores([prompt], CHOICES)[0] for prompt in prompts]
    assert end.cached_count > 0.8 * end.prompt_count
    for some, others in zip(by_choice(end), alone, strict=True):
        for one, other in zip(some, others, strict=True):
            assert one == pytest.approx(other, abs=ROUNDING)
    serving.close()


STORY = "Once upon a time there was a little girl who lived in a house by the sea. " * 3


def scores_of_a_column(serving: Serving) -> None:
    """Many prompts that begin alike, as those of a column's rows do."""
    instruction = "Is this about a dog or about a cat? Say it in one word, please, and no other. "
    serving.scores(
        [f"{instruction}{word} {LONG} {LONG}" for word in "abcdefghijklmnopqrstuvwx"], SINGLE
    )


@pytest.mark.parametrize("model", ["demo_gguf", "mamba_gguf"])
def test_a_scored_column_pushes_no_conversation_out(request, model):
    serving = Serving(request.getfixturevalue(model), num_parallel=NUM_SLOTS)
    serving.answer(STORY, num_predict=4)
    held = serving.engine.kv_cache.prefixes
    held.store.max_bytes = 3 * serving.engine.context.state_bytes(0)

    scores_of_a_column(serving)
    again = serving.answer(STORY + "She", num_predict=4)

    assert again.end.cached_count > 32
    serving.close()


def test_what_was_scored_leaves_nothing_on_the_host(demo_gguf):
    serving = Serving(demo_gguf, num_parallel=NUM_SLOTS)

    scores_of_a_column(serving)

    assert len(serving.engine.kv_cache.prefixes.store) == 0
    assert len(serving.engine.kv_cache.prefixes.idle) == NUM_SLOTS
    serving.close()


def test_a_scored_conversation_is_still_there_for_who_goes_on_with_it(demo_gguf):
    serving = Serving(demo_gguf, num_parallel=NUM_SLOTS)
    serving.answer(STORY, num_predict=4)

    serving.scores([STORY + "Was"], SINGLE)
    scores_of_a_column(serving)
    again = serving.answer(STORY + "She", num_predict=4)

    assert again.end.cached_count > 32
    serving.close()


CHAINS = [f" {word} there was a" for word in ("once", "one", "the", "big", "little", "happy")]


@pytest.mark.parametrize("name", ["demo_gguf", "q4_k_gguf"])
def test_choices_of_a_single_prompt_are_computed_side_by_side(request, name):
    path, asked = request.getfixturevalue(name), [PROMPTS[2]]
    apart = Serving(path, num_parallel=NUM_SLOTS, prefix_cache_bytes=0)
    beside = Serving(path, num_parallel=NUM_SLOTS)

    (one_by_one,) = apart.scores(asked, CHAINS)
    costs = nodes_of(apart, asked, CHAINS), nodes_of(beside, asked, CHAINS)
    assert len(beside.engine.kv_cache.prefixes.idle) == 1, "branches keep nothing"
    story = beside.ask("The cat", num_predict=30)
    scored = beside.score(asked * 3, CHAINS)
    beside.run()

    assert costs[1] < 0.6 * costs[0]
    for scores in by_choice(beside.answers[scored].end):
        for one, other in zip(one_by_one, scores, strict=True):
            assert one == pytest.approx(other, abs=ROUNDING)
    assert (
        beside.answers[scored].end.prompt_count == 3 * beside.answers[scored - 2].end.prompt_count
    )
    assert isinstance(beside.answers[story].end, Finished)
    for serving in (apart, beside):
        assert is_clean(serving)
        serving.close()


@pytest.mark.parametrize("part", [0.5, 0.8, 0.95])
def test_who_leaves_takes_its_branches_along(demo_gguf, part):
    serving = Serving(demo_gguf, num_parallel=NUM_SLOTS)
    nodes_of(serving, [PROMPTS[2]], CHAINS)
    whole = nodes_of(serving, [PROMPTS[2]], CHAINS)
    request, before = serving.score([PROMPTS[2]], CHAINS), serving.nodes
    serving.in_nodes(int(part * whole), partial(serving.cancel, request))
    serving.run()

    assert serving.nodes - before == int(part * whole)
    assert is_clean(serving)
    assert isinstance(serving.answer("The cat").end, Finished)
    serving.close()


# --- others beside it -----------------------------------------------------------------------------


def test_who_comes_meanwhile_gets_the_next_slot(serving):
    start = serving.nodes
    request = serving.score(PROMPTS[:1] * 40, CHOICES)
    story = serving.ask("The cat", num_predict=3)
    serving.run()
    told, scored = (serving.answers[id].end_place - start for id in (story, request))

    assert told < scored / 2


def test_persons_come_before_programs(serving):
    program = serving.score(PROMPTS[:1] * 40, CHOICES, priority=Priority.BATCH)
    person = serving.score(PROMPTS[:1] * 40, CHOICES)
    serving.run()

    assert serving.answers[person].end_place < serving.answers[program].end_place


def test_two_requests_of_many_prompts_take_turns(serving):
    start = serving.nodes
    long, short = serving.score(PROMPTS[:1] * 80, SINGLE), serving.score(PROMPTS[:1] * 20, SINGLE)
    serving.run()
    whole = serving.answers[long].end_place - start

    assert serving.answers[short].end_place - start < 0.75 * whole


def test_every_step_s_slots_are_dense(serving, monkeypatch):
    plan, seen = serving.engine.planner.plan, list[list[int]]()

    def noted(sequences: Any) -> Any:
        seen.append([s.slot for s in sequences])
        assert all(s.waiting for s in sequences)
        return plan(sequences)

    monkeypatch.setattr(serving.engine.planner, "plan", noted)
    serving.ask("The cat", num_predict=30)
    serving.score(PROMPTS * 5, CHOICES)
    serving.run()

    assert all(slots == list(range(len(slots))) for slots in seen)
    assert max(map(len, seen)) == NUM_SLOTS


def read_only(slot: int, num_waiting: int) -> Sequence:
    """A sequence whose prompt is known, with so many tokens of choices to be computed."""
    ids = [7] * (1 + num_waiting)
    sequence = Sequence(slot, ids, 1, 512, 0, TextStream(), DRAWS_NOTHING, slot=slot, computed=1)
    sequence.scores = PromptScores(ChoiceTree([ids]))
    return sequence


def test_choices_take_no_more_of_a_step_beside_an_answer_than_a_prompt_may():
    story = Sequence(0, [7, 7], 1, 512, 9, TextStream(), DRAWS_NOTHING, slot=0, computed=1)
    others = [read_only(slot, MAX_RUN) for slot in range(1, 16)]

    planner = BatchPlanner(512)
    items = [item for batch in planner.plan([story, *others]) for item in batch]

    assert [item.count for item in items if item.sequence is story] == [1]
    assert sum(item.count for item in items) - 1 <= planner.budget.room(1) < 15 * MAX_RUN


# --- leaving --------------------------------------------------------------------------------------


def is_clean(serving: Serving) -> bool:
    return serving.engine.kv_cache.num_free == NUM_SLOTS


@pytest.mark.parametrize("part", [0.1, 0.7])
def test_what_nobody_waits_for_ends_at_the_next_node(serving, part):
    count = int(part * nodes_of(serving, PROMPTS, CHOICES))
    request, before = serving.score(PROMPTS, CHOICES), serving.nodes
    serving.in_nodes(count, partial(serving.cancel, request))
    serving.run()

    assert serving.nodes - before == count


@pytest.mark.parametrize("part", [0.01, 0.4, 0.9])
def test_who_leaves_is_not_computed_to_the_end_and_nobody_else_notices(serving, part):
    alone = serving.answer("The cat", reproducible=True, num_predict=30)
    whole = nodes_of(serving, PROMPTS * 4, CHOICES)

    story = serving.ask("The cat", reproducible=True, num_predict=30)
    request = serving.score(PROMPTS * 4, CHOICES)
    serving.in_nodes(max(int(part * whole), 1), partial(serving.cancel, request))
    serving.run()

    assert serving.answers[story].text == alone.text
    assert serving.answers[request].cancelled
    assert serving.answers[request].end is None
    assert is_clean(serving)


def test_a_step_that_was_stopped_for_another_is_computed_again(serving):
    (undisturbed,) = serving.scores(PROMPTS[1:2], CHOICES)
    whole = nodes_of(serving, PROMPTS[1:2], CHOICES)

    for part in (0.2, 0.5, 0.8):
        request = serving.score(PROMPTS[1:2], CHOICES)
        serving.in_nodes(int(part * whole), serving.engine_abort)
        serving.run()
        (scores,) = by_choice(serving.answers[request].end)
        for one, other in zip(scores, undisturbed, strict=True):
            assert one == pytest.approx(other, abs=ROUNDING)


def test_who_leaves_before_anything_is_computed_is_told_so(serving):
    request = serving.score(PROMPTS * 4, CHOICES)
    serving.leave(request)
    serving.run()

    assert serving.answers[request] == Answer(cancelled=True)
    assert is_clean(serving)


# --- what cannot be scored ------------------------------------------------------------------------


def failure_of(serving: Serving, request: int) -> tuple[str, tuple[Any, ...]]:
    serving.run()
    end = serving.answers[request].end
    assert isinstance(end, Failed)
    assert is_clean(serving)
    return end.error, end.args


def test_nothing_is_cut_to_fit(serving):
    count = serving.answer(PROMPTS[0], num_predict=1).end.prompt_count
    (longest,) = map(len, serving.scores(PROMPTS[:1], [LONG], num_ctx=500)[0])

    fits = serving.scores(PROMPTS[:1], [LONG], num_ctx=count + longest)
    request = serving.score(["a", PROMPTS[0]], ["a", LONG], num_ctx=count + longest - 1)

    assert len(fits[0][0]) == longest
    assert failure_of(serving, request) == (
        "ScoreTooLong",
        (2, count, longest, count + longest - 1),
    )


def test_a_model_that_only_embeds_has_no_scores(bert_gguf):
    serving = Serving(bert_gguf, num_ctx=64)
    request = serving.score(["a"], ["b"])
    serving.run()

    assert serving.answers[request].end.error == "CannotGenerate"
    serving.close()


def test_numbers_that_are_none_are_an_error(demo_gguf, tmp_path):
    def without_numbers(rows: Any) -> Any:
        rows = rows.copy()
        rows[5] = float("nan")
        return rows

    path = tmp_path / "broken.gguf"
    write_altered(demo_gguf, path, {"token_embd.weight": without_numbers})
    serving = Serving(path)
    request = serving.score(PROMPTS, CHOICES)

    assert failure_of(serving, request)[0] == "ScoreNotFinite"
    serving.close()


@ONE
def test_a_native_failure_ends_the_request_and_leaves_nothing(serving, monkeypatch):
    monkeypatch.setattr(serving.engine.context, "decode", _fails)
    request = serving.score(PROMPTS * 3, CHOICES)

    assert failure_of(serving, request)[0] == "DecodeFailed"
    monkeypatch.undo()
    assert isinstance(serving.answer("The cat").end, Finished)


def _fails(_: object) -> bool:
    from ollama_nb_server.engine.errors import DecodeFailed

    raise DecodeFailed("llama_decode", -3)


# --- how choices are spelled ----------------------------------------------------------------------


@ONE
def test_the_text_of_a_special_token_is_text(serving):
    model = serving.engine.model
    tokens = spelled_behind(model, TextSegment("<|im_end|>", parse_special=False))

    assert b"".join(map(model.name, tokens)) == b"<|im_end|>"
    assert model.special("<|im_end|>") not in tokens


@pytest.mark.parametrize("text", ["positive", " positive", "\n", "é", "a b"])
@pytest.mark.parametrize("name", ["demo_gguf", "pieces_gguf"])
def test_a_choice_has_its_letters_and_no_blank_before_them(request, name, text):
    model = Model(LoadSpec(str(request.getfixturevalue(name))), NativeLog())
    tokens = spelled_behind(model, TextSegment(text, parse_special=False))

    assert b"".join(map(model.name, tokens)) == text.encode()
    model.close()


# --- images ---------------------------------------------------------------------------------------


def test_what_is_seen_counts(seeing):
    model, eye = seeing
    serving = Serving(model, projector=str(eye), num_ctx=2048)
    asked = TextSegment("Once upon a time there was a")
    prompts = [(ImageSegment(noise(seed)), asked) for seed in (1, 2)]

    red, blue = (serving.scores([p], CHOICES, reproducible=True)[0] for p in prompts)

    assert red != blue
    assert red[3] == written(serving, prompts[0], CHOICES[3])
    serving.close()
