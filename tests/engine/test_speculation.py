"""Drafts from a prompt's own words: when they are computed, and that no answer shows it."""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.answering.generation import last_extras
from ollama_nb_server.engine.batching.invariance import draft_rows_alike
from ollama_nb_server.engine.batching.step_times import StepTimes
from ollama_nb_server.engine.drafts import speculation
from ollama_nb_server.engine.drafts.prompt_lookup import NGRAM, PromptLookup
from ollama_nb_server.engine.drafts.speculation import LENGTHS, PATIENCE, Speculator, lookup_of
from ollama_nb_server.engine.messages import Finished, Grammar, SamplingParams
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.prompts.truncation import Losses
from serving import Serving


class NoSampler:
    def close(self) -> None: ...


def followed(tokens: list[int]) -> PromptLookup:
    lookup = PromptLookup()
    lookup.follow(tokens)
    return lookup


# --- what is expected -----------------------------------------------------------------------------


def test_what_stood_behind_the_same_tokens_is_expected_again():
    tokens = [1, 2, 3, 4, 5, 6, 9, 9, 1, 2, 3]

    assert followed(tokens).draft(tokens, 3) == [4, 5, 6]


def test_of_several_places_the_latest_counts():
    tokens = [1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3]

    assert followed(tokens).draft(tokens, 1) == [5]


def test_nothing_is_expected_where_nothing_came_before():
    tokens = [1, 2, 3, 4, 5]

    assert not followed(tokens).expects
    assert followed(tokens).draft(tokens, 3) == []
    assert followed(tokens).chances(3) == []


def test_what_goes_round_goes_on():
    tokens = [7, 8] * 4

    assert followed(tokens).draft(tokens, 5) == [7, 8, 7, 8, 7]


def test_chances_rise_with_every_prediction_that_comes_true_and_fall_with_every_other():
    lookup, right = PromptLookup(), list(range(40)) * 2
    lookup.follow(right[:43])
    before = lookup.chances(1)
    lookup.follow(right)
    wrong = followed([1, 2, 3])
    for n in range(30):
        wrong.follow([1, 2, 3, *(x for m in range(n + 1) for x in (50 + m, 1, 2, 3))])

    assert before < lookup.chances(1)
    assert lookup.chances(1)[0] > 0.9
    assert wrong.chances(1)[0] < 0.2


@given(st.lists(st.integers(0, 3), max_size=80), st.integers(0, 80))
def test_it_makes_no_difference_in_how_many_steps_the_tokens_came(tokens, cut):
    late = followed(tokens)
    early = followed(tokens[:cut])
    early.follow(tokens)

    ends = [tokens[at - NGRAM : at] for at in range(NGRAM, len(tokens))]
    assert early.expects == late.expects == (tokens[-NGRAM:] in ends and len(tokens) > NGRAM)


# --- what it costs --------------------------------------------------------------------------------


def test_steps_between_known_ones_take_their_part_and_larger_ones_are_unknown():
    times = StepTimes()
    times.took(2, 1.0)
    times.took(6, 3.0)

    expected = [times.expected(rows) for rows in (1, 2, 4, 6, 7)]
    assert expected == [1.0, 1.0, 2.0, 3.0, None]


# --- what is computed -----------------------------------------------------------------------------


def repeating(**wishes: object) -> Sequence:
    """One that writes the same ten tokens again and again."""
    tokens = list(range(10)) * 8
    made = Sequence(1, tokens, 10, 4096, 1000, None, NoSampler(), 0, len(tokens) - 1)
    made.lookup = PromptLookup()
    made.lookup.follow(tokens[:30])
    made.lookup.follow(tokens)
    for name, value in wishes.items():
        setattr(made, name, value)
    return made


def drafted(seconds, steps: int = 12, sequence: Sequence | None = None, others: int = 0) -> int:
    """The draft's length after some steps that take so many seconds by their rows."""
    speculator, first = Speculator(512, can_forget=True), sequence or repeating()
    more = [Sequence(n, [1, 2, n], 2, 4096, 1000, None, NoSampler(), n, 2) for n in range(others)]
    for _ in range(steps):
        speculator.propose([first, *more])
        speculator.took(seconds(1 + others + len(first.draft)))
    speculator.propose([first, *more])
    return len(first.draft)


def test_drafts_are_as_long_as_pays():
    assert drafted(lambda rows: 1.0) == LENGTHS[-1]
    assert drafted(lambda rows: 1.0 if rows < 5 else 4.0) == 3
    assert drafted(lambda rows: float(rows)) == 0


def test_nothing_is_drafted_before_a_step_without_has_been_measured():
    assert drafted(lambda rows: 1.0, steps=0) == 0


@pytest.mark.parametrize(("num_others", "tries"), [(1, True), (15, False)])
def test_a_draft_that_cannot_pay_beside_others_is_not_tried(num_others, tries):
    speculator, first = Speculator(512, can_forget=True), repeating()
    others = [
        Sequence(n, [1, 2, n], 2, 4096, 1000, None, NoSampler(), n, 2) for n in range(num_others)
    ]
    speculator.propose([first])
    speculator.took(0.02)
    for _ in range(2):
        speculator.propose([first, *others])
        speculator.took(0.02 + 0.007 * num_others)
    speculator.propose([first, *others])

    assert bool(first.draft) == tries


def test_what_did_not_pay_is_tried_again_now_and_then():
    speculator, sequence = Speculator(512, can_forget=True), repeating()
    lengths = []
    for _ in range(4 * PATIENCE):
        speculator.propose([sequence])
        speculator.took(1.0 + 9 * bool(sequence.draft))
        lengths.append(len(sequence.draft))

    assert 3 <= sum(map(bool, lengths[len(LENGTHS) + 1 :])) <= 4


@pytest.mark.parametrize(
    "wishes",
    [
        {"reproducible": True},
        {"discarded": 5},
        {"pieces": True},
        {"num_predict": 71},  # one more token, which nothing is behind
        {"num_ctx": 81},
        {"computed": 0},
    ],
    ids=str,
)
def test_who_computes_no_drafts(wishes):
    assert drafted(lambda rows: 1.0, sequence=repeating(**wishes)) == 0


@pytest.mark.parametrize(("num_exact", "length"), [(1, 0), (2, 1), (4, 3), (8, 7), (16, 7)])
def test_a_greedy_one_drafts_no_more_than_can_be_computed_without_a_change(num_exact, length):
    greedy, drawn = repeating(greedy=True), repeating()
    for sequence in (greedy, drawn):
        speculator = Speculator(512, can_forget=True, num_exact=num_exact)
        for _ in range(12):
            speculator.propose([sequence])
            speculator.took(1.0)
        speculator.propose([sequence])

    assert (len(greedy.draft), len(drawn.draft)) == (length, LENGTHS[-1])


class Rows:
    """A context and its batch: logits say how many rows were computed, if more than `most`."""

    model, room = SimpleNamespace(num_vocab=100), 64

    def __init__(self, most: int) -> None:
        self._most, self._batch = most, self

    def fill(self, rows):
        self.count = len(rows)

    def decode(self, batch):
        self._batch = batch

    def clear(self): ...

    def logits(self, output):
        return np.array([1.0, max(self._batch.count, self._most)], np.float32)


@pytest.mark.parametrize(
    ("most", "alike", "found"), [(1, 0, 1), (8, 0, 8), (3, 3, 3), (1, 3, 1), (8, 1, 1)]
)
def test_a_load_finds_out_how_many_rows_change_no_bit(most, alike, found):
    assert draft_rows_alike(Rows(most), Rows(most), alike) == found


def test_nobody_drafts_beside_a_prompt_or_a_reproducible_answer():
    free = repeating()
    prompt = Sequence(2, [1] * 500, 500, 4096, 9, None, NoSampler(), 1)
    speculator = Speculator(512, can_forget=True)
    for other in (prompt, repeating(reproducible=True)):
        for _ in range(5):
            speculator.propose([free, other])
            speculator.took(1.0)
            assert free.draft == ()


def test_a_step_with_drafts_has_a_bound():
    speculator, many = Speculator(24, can_forget=True), [repeating() for _ in range(16)]
    for _ in range(6):
        speculator.propose(many)
        speculator.took(1.0)

    assert 16 < sum(1 + len(sequence.draft) for sequence in many) <= 24


# --- real answers ---------------------------------------------------------------------------------


class Free(StepTimes):
    """As if a step took the same time whatever its rows, so that every likely draft is computed."""

    def expected(self, num_rows: int) -> float:
        return 1.0


class Watching(Speculator):
    """Remembers whom it has seen."""

    def __init__(self, **wishes: bool) -> None:
        super().__init__(512, num_exact=8, **wishes)
        self.times, self.seen = defaultdict(Free), dict[int, Sequence]()

    def propose(self, sequences):
        self.seen |= {sequence.id: sequence for sequence in sequences}
        super().propose(sequences)


class Foreseen(PromptLookup):
    """Knows an answer, and is wrong at each `wrong`-th token of it (0: nowhere)."""

    expects = True

    def __init__(self, answer: list[int], wrong: int) -> None:
        super().__init__()
        self._answer, self._wrong = answer, wrong

    def chances(self, count):
        return [0.9] * count

    def draft(self, tokens, count):
        places = range(len(tokens), len(tokens) + count)
        return [self._expected(place) for place in places]

    def _expected(self, place):
        known = self._answer[place] if place < len(self._answer) else 300
        return 1234 if self._wrong and not place % self._wrong else known


STORY = "Once upon a time"
HOT = SamplingParams(seed=5, temperature=0.8, repeat_penalty=1.1)
LIST = Grammar("json_schema", '{"type": "array", "items": {"enum": ["fox", "dog"]}, "minItems": 9}')
ASKED = [{}, {"sampling": HOT}, {"grammar": LIST}, {"stop": (" meadow",)}, {"num_predict": 7}]


@pytest.fixture(scope="module")
def serving(demo_gguf):
    serving = Serving(demo_gguf, num_parallel=len(ASKED))
    yield serving
    serving.close()


@pytest.fixture
def answers(serving, monkeypatch):
    """`answers(speculates=True, wrong=3)`: texts and ends, and the nodes that were computed."""
    known: list[list[int]] = []

    def told(*, speculates=True, wrong=0, asked=ASKED, at_once=False):
        watching = serving.engine.speculator = Watching(can_forget=speculates)
        requests, before = [], serving.nodes

        def foreseen(sequence):
            lookup_of(sequence)
            return Foreseen(known[requests.index(sequence.id)], wrong)

        monkeypatch.setattr(speculation, "lookup_of", foreseen)
        for wishes in asked:
            requests.append(serving.ask(STORY, **{"num_predict": 60, **wishes}))
            if not at_once:
                serving.run()
        serving.run()
        if not speculates:
            known[:] = [watching.seen[request].tokens for request in requests]
        found = [serving.answers[request] for request in requests]
        return (
            [(a.text, a.end.reason) for a in found],
            [a.end for a in found],
            serving.nodes - before,
        )

    return told


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("wrong", [0, 1, 2, 3, 5])
def test_answers_are_the_same_with_drafts_right_or_wrong(answers, wrong, at_once):
    without, none, nodes = answers(speculates=False, at_once=at_once)
    texts, ends, fewer = answers(wrong=wrong, at_once=at_once)

    assert texts == without
    assert not any(end.drafted_count for end in none)
    assert all(end.drafted_count > 0 for end in ends)
    assert [end.eval_count for end in ends] == [end.eval_count for end in none]
    assert (sum(end.accepted_count for end in ends) > 60) is (wrong != 1)
    assert at_once or (fewer < nodes) is (wrong != 1)


@pytest.mark.parametrize("model", ["demo_gguf", "q4_k_gguf"])
def test_greedy_answers_are_the_same_with_the_drafts_that_a_load_allows(
    request, monkeypatch, model
):
    serving = Serving(request.getfixturevalue(model), num_parallel=1)
    known, seen = list[int](), list[Sequence]()
    foreseen = lambda s: Foreseen(known, 4) if known else PromptLookup()  # noqa: E731
    monkeypatch.setattr(speculation, "lookup_of", foreseen)
    speculator, told = serving.engine.speculator, []
    speculator.times, propose = defaultdict(Free), speculator.propose
    monkeypatch.setattr(speculator, "propose", lambda those: [seen.extend(those), propose(those)])
    try:
        for _ in range(2):
            asked = serving.ask(tuple(range(300, 312)), num_predict=30)
            serving.run()
            told.append(serving.answers[asked])
            known[:] = seen[-1].tokens
    finally:
        serving.close()

    assert told[0].text == told[1].text
    assert model != "demo_gguf" or told[1].end.drafted_count > 0


def test_right_drafts_are_accepted_whole(answers):
    answers(speculates=False, asked=[{}])
    _, (end,), _ = answers(asked=[{}])

    most = LENGTHS[-1] + 1
    assert end.accepted_count >= end.eval_count - 2 - -(-end.eval_count // most)


def test_a_step_with_a_draft_that_is_broken_off_is_computed_again(serving, answers):
    without, _, _ = answers(speculates=False, asked=[{}])
    _, _, nodes = answers(wrong=3, asked=[{}])
    for part in (0.5, 0.7, 0.9):
        serving.in_nodes(int(part * nodes), serving.engine_abort)
        assert answers(wrong=3, asked=[{}])[0] == without


def test_a_memory_that_cannot_forget_computes_no_drafts(mamba_gguf, monkeypatch):
    monkeypatch.setattr(speculation, "lookup_of", lambda sequence: Foreseen(sequence.tokens, 0))
    serving = Serving(mamba_gguf)
    try:
        serving.engine.speculator.times = defaultdict(Free)
        request = serving.ask((1, 2, 3, 4), num_predict=12, sampling=HOT)
        serving.run()
        assert serving.answers[request].end.drafted_count == 0
    finally:
        serving.close()


def test_a_published_model_that_repeats_a_text_takes_fewer_steps(smollm2):
    serving = Serving(smollm2, num_parallel=1)
    asked = (
        "name,age,city\nAnna,31,Paris\nBen,27,Rome\nCara,45,Oslo\n\n" * 3 + "name,age,city\nAnna"
    )
    try:
        serving.engine.speculator = Watching(can_forget=True)
        request = serving.ask(asked, num_predict=24)
        serving.run()
        end = serving.answers[request].end
    finally:
        serving.close()

    assert end.accepted_count > end.eval_count / 2


def test_who_asks_for_extras_hears_how_many_came():
    told = [
        last_extras(Finished(1, "stop", 1, 2, 3, 4, **counts), Losses(), ()).document()
        for counts in ({"drafted_count": 9, "accepted_count": 0}, {})
    ]

    assert told[0]["drafted_tokens"] == 9
    assert told[0]["accepted_tokens"] == 0
    assert not {"drafted_tokens", "accepted_tokens"} & set(told[1])
