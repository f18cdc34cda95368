"""A draft model: when it writes ahead, and that no answer shows it."""

from collections import defaultdict
from dataclasses import replace

import pytest
from ollama_nb_server.engine.batching.step_times import StepTimes
from ollama_nb_server.engine.drafts import speculation
from ollama_nb_server.engine.drafts.model import NUM_SLOTS, READ_AT_ONCE, DraftModel
from ollama_nb_server.engine.drafts.prompt_lookup import PromptLookup
from ollama_nb_server.engine.drafts.record import DraftRecord
from ollama_nb_server.engine.drafts.speculation import LENGTHS, NUM_DRAFT, Speculator
from ollama_nb_server.engine.messages import Grammar, SamplingParams
from ollama_nb_server.engine.sequence import Sequence
from serving import GREEDY, Serving

# --- decisions ------------------------------------------------------------------------------------


class NoSampler:
    def close(self) -> None: ...


class Writer:
    """A draft model that writes 7, 8, 9 and so on; remembers what it was asked."""

    def __init__(self, token_s: float = 0.0, *, reads: bool = True) -> None:
        self.token_s, self._reads = token_s, reads
        self.kept: list[set[int]] = []
        self.asked: list[int] = []

    def keep_only(self, ids):
        self.kept.append(set(ids))

    def reads(self, id, tokens):
        return self._reads

    def draft(self, id, tokens, count):
        self.asked.append(count)
        return tuple(range(7, 7 + count))


def fresh(**wishes: object) -> Sequence:
    """One whose tokens have never come before."""
    made = Sequence(1, list(range(10, 30)), 10, 4096, 1000, None, NoSampler(), 0, 19)
    made.drafts = DraftRecord()
    for _ in range(20):  # the model has been right so far
        made.drafts.note(0, [10, 11])
        made.drafts.follow(made.tokens)
    for name, value in wishes.items():
        setattr(made, name, value)
    return made


def drafted(writer: Writer, sequence: Sequence | None = None, step_s: float = 1.0) -> int:
    """How long drafts are once the times of steps are known; a row takes no time of its own."""
    speculator, first = Speculator(512, can_forget=True, drafter=writer), sequence or fresh()
    for _ in range(8):
        speculator.propose([first])
        speculator.took(step_s)
    speculator.propose([first])
    return len(first.draft)


def test_a_draft_model_writes_ahead_where_nothing_has_been_repeated():
    assert drafted(Writer()) == max(n for n in LENGTHS if n <= NUM_DRAFT)
    assert drafted(Writer(), fresh(num_draft=7)) == 7
    assert drafted(Writer(), fresh(num_draft=2)) == 1


def test_what_it_costs_is_weighed_against_what_it_brings():
    assert drafted(Writer(token_s=0.1)) > 0
    assert drafted(Writer(token_s=2.0)) == 0


def test_a_request_may_refuse_drafts_and_a_greedy_one_ask_for_them():
    writer = Writer()

    assert drafted(writer, fresh(num_draft=0)) == 0
    assert drafted(writer, fresh(greedy=True)) == 0
    assert not writer.asked
    assert drafted(writer, fresh(greedy=True, num_draft=4)) > 0


def test_a_model_that_is_still_reading_drafts_nothing():
    assert drafted(Writer(reads=False)) == 0


def test_what_is_repeated_costs_nothing_and_comes_first(monkeypatch):
    monkeypatch.undo()
    tokens, writer = list(range(10)) * 8, Writer()
    repeating = Sequence(1, tokens, 10, 4096, 1000, None, NoSampler(), 0, len(tokens) - 1)
    repeating.lookup = PromptLookup()
    repeating.lookup.follow(tokens[:30])
    repeating.lookup.follow(tokens)

    assert drafted(writer, repeating) == LENGTHS[-1]
    assert not writer.asked
    repeating.num_draft = 0
    assert drafted(writer, repeating) == 0


def test_sequences_that_are_over_are_forgotten():
    writer = Writer()
    drafted(writer)

    assert writer.kept[-1] == {1}


def test_who_is_wrong_is_trusted_less():
    right, wrong, part = DraftRecord(), DraftRecord(), DraftRecord()
    for place in range(0, 80, 4):
        tokens = list(range(place + 4))
        for record, draft in (right, tokens[-4:]), (wrong, [999] * 4), (part, [place, 9, 9, 9]):
            record.note(place, draft)
            record.follow(tokens)
            record.follow(tokens)  # a draft counts once

    assert right.chances(2)[0] > 0.9 > 0.6 > part.chances(1)[0] > 0.4
    assert wrong.chances(1)[0] < 0.2


def test_a_draft_that_was_never_held_against_anything_says_nothing():
    record, before = DraftRecord(), DraftRecord().chances(3)
    record.note(10, [1, 2, 3])
    record.follow(list(range(10)))

    assert record.chances(3) == before


# --- real answers ---------------------------------------------------------------------------------

STORY = "Once upon a time"
HOT = SamplingParams(seed=5, temperature=0.8, repeat_penalty=1.1)
LIST = Grammar("json_schema", '{"type": "array", "items": {"enum": ["fox", "dog"]}, "minItems": 9}')
ASKED = [
    {},
    {"sampling": HOT},
    {"grammar": LIST},
    {"stop": (" meadow",)},
    {"num_predict": 7},
    {"sampling": replace(HOT, seed=6)},
]


class Free(StepTimes):
    """As if a step took the same time whatever its rows, so that every likely draft is computed."""

    def expected(self, num_rows: int) -> float:
        return 100.0


class Nothing(PromptLookup):
    expects = False


@pytest.fixture(scope="module")
def serving(demo_gguf):
    serving = Serving(demo_gguf, num_parallel=len(ASKED), draft=str(demo_gguf))
    serving.engine.speculator.times = defaultdict(Free)
    assert not serving.engine.warnings
    yield serving
    serving.close()


@pytest.fixture(autouse=True)
def nothing_is_repeated(monkeypatch):
    """So that all that is drafted is the draft model's."""

    def nothing(sequence):
        sequence.lookup = Nothing()
        return sequence.lookup

    monkeypatch.setattr(speculation, "lookup_of", nothing)


def told(serving, num_draft, *, at_once=False, asked=ASKED):
    requests = []
    for wishes in asked:
        wishes = {"num_predict": 60, "num_draft": num_draft, **wishes}
        requests.append(serving.ask(STORY, **wishes))
        if not at_once:
            serving.run()
    serving.run()
    found = [serving.answers[request] for request in requests]
    return [(a.text, a.end.reason, a.end.eval_count) for a in found], [a.end for a in found]


def spoilt(monkeypatch, wrong):
    """Each `wrong`-th token of every draft is another."""
    write = DraftModel.draft

    def draft(self, id, tokens, count):
        right = write(self, id, tokens, count)
        places = range(len(tokens), len(tokens) + len(right))
        return tuple(
            300 if not place % wrong else token for place, token in zip(places, right, strict=True)
        )

    monkeypatch.setattr(DraftModel, "draft", draft)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("wrong", [0, 2, 3, 5])
def test_answers_are_the_same_with_a_draft_model_right_or_wrong(
    serving, monkeypatch, wrong, at_once
):
    without, none = told(serving, 0, at_once=at_once)
    if wrong:
        spoilt(monkeypatch, wrong)
    texts, ends = told(serving, 7, at_once=at_once)

    assert texts == without
    assert not any(end.drafted_count for end in none)
    drafted = [end for end in ends if end.drafted_count]
    assert len(drafted) >= (NUM_SLOTS if at_once else len(ASKED))
    assert sum(end.accepted_count for end in ends) > 30
    assert sum(end.accepted_count for end in ends) <= sum(end.drafted_count for end in ends)


def test_its_own_copy_is_right_about_all_that_is_likeliest(serving):
    _, (end,) = told(serving, 7, asked=[{}])

    most = LENGTHS[-1] + 1
    assert end.accepted_count >= end.eval_count - 2 - -(-end.eval_count // most)


def test_what_it_drafted_wrongly_is_forgotten(serving):
    """Else it would go on from there, and be wrong about all that follows."""
    drafter, tokens = serving.engine.drafter, [*range(300, 312)]
    assert drafter.reads(901, tokens)
    wrong = drafter.draft(901, tokens, 7)
    came = [*tokens, wrong[0], wrong[1] + 1, wrong[2] + 1]
    drafts = []
    for id in (901, 902):
        while not drafter.reads(id, came):
            pass
        drafts.append(drafter.draft(id, came, 7))
    drafter.keep_only(())

    assert drafts[0] == drafts[1]


def test_slots_are_free_again_behind_every_request(serving):
    told(serving, 7, at_once=True)
    told(serving, 7)  # who begins late has a slot again
    _, ends = told(serving, 7, at_once=True, asked=ASKED[:NUM_SLOTS])

    assert all(end.drafted_count for end in ends)


def test_a_draft_that_is_broken_off_is_written_again(serving):
    without, _ = told(serving, 0, asked=[{}])
    before = serving.nodes
    told(serving, 7, asked=[{}])
    nodes = serving.nodes - before
    for part in (0.3, 0.45, 0.6, 0.75, 0.9):
        serving.in_nodes(int(part * nodes), serving.engine_abort)
        assert told(serving, 7, asked=[{}])[0] == without


def test_a_long_prompt_is_read_in_pieces_and_then_drafted_for(serving):
    asked = tuple(100 + at % 300 for at in range(READ_AT_ONCE + 100))
    answers = []
    for num_draft in (0, 7):
        request = serving.ask(asked, num_predict=40, num_draft=num_draft)
        serving.run()
        answers.append(serving.answers[request])

    assert answers[0].text == answers[1].text
    assert answers[1].end.drafted_count > 0


def test_a_model_with_another_vocabulary_drafts_nothing_and_the_load_says_so(
    demo_gguf, stranger_gguf
):
    serving = Serving(demo_gguf, num_parallel=1, draft=str(stranger_gguf))
    alone = Serving(demo_gguf, num_parallel=1)
    try:
        (warning,) = serving.engine.loaded().warnings
        assert "another vocabulary" in warning
        assert told(serving, 4, asked=[{}])[0] == told(alone, 4, asked=[{}])[0]
    finally:
        serving.close()
        alone.close()


@pytest.mark.parametrize("missing", [True, False])
def test_a_draft_model_that_is_none_fails_no_load(demo_gguf, tmp_path, missing):
    path = tmp_path / "draft.gguf"
    if not missing:
        path.write_bytes(b"GGUF but not really")
    serving = Serving(demo_gguf, num_parallel=1, draft=str(path))
    try:
        (warning,) = serving.engine.loaded().warnings
        assert warning.startswith("answers come without the draft model: ")
        assert told(serving, 4, asked=[{}])[1][0].eval_count == 60
    finally:
        serving.close()


def test_a_memory_that_cannot_forget_loads_no_draft_model(mamba_gguf):
    serving = Serving(mamba_gguf, draft=str(mamba_gguf))
    try:
        assert "nothing can be drafted" in serving.engine.loaded().warnings[0]
    finally:
        serving.close()


def test_its_memory_is_counted(demo_gguf):
    sizes = []
    for wishes in ({}, {"draft": str(demo_gguf)}):
        serving = Serving(demo_gguf, num_parallel=1, **wishes)
        sizes.append(serving.engine.loaded().size_bytes)
        serving.close()

    assert sizes[1] > sizes[0] + demo_gguf.stat().st_size / 2


def test_a_published_model_drafts_for_another(qwen_coder):
    """For itself: what it writes ahead greedily is right for as long as it is not surprised."""
    serving = Serving(qwen_coder, num_parallel=1, draft=str(qwen_coder))
    try:
        serving.engine.speculator.times = defaultdict(Free)
        (text,), (end,) = told(serving, 7, asked=[{"sampling": GREEDY, "num_predict": 24}])
    finally:
        serving.close()

    assert text[2] == 24
    assert end.accepted_count > 12
