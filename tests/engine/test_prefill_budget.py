"""How much prompt a step takes, on machines that are made of two numbers: no model, no clock."""

import pytest
from ollama_nb_server.engine.batching.planner import BatchPlanner, counts_of, note_turns
from ollama_nb_server.engine.batching.prefill_budget import (
    DECODE_STEPS,
    KEPT,
    LEAST,
    LEAST_GPU,
    PrefillBudget,
)
from ollama_nb_server.engine.sequence import Sequence


def told(decode_s: float, token_s: float, num_decoding: int = 8, most: int = 512) -> PrefillBudget:
    """A budget that has seen a machine with these times."""
    budget = PrefillBudget(most)
    for _ in range(KEPT):
        budget.note(num_decoding, 0, decode_s)
        budget.note(num_decoding, LEAST, decode_s + LEAST * token_s)
    return budget


def test_before_anything_is_measured_it_is_the_least():
    budget = PrefillBudget(512)
    assert budget.room(8) == LEAST

    budget.note(8, LEAST, 0.5)  # what of it the prompt took cannot be told yet
    budget.note(8, 0, 0.25)
    assert budget.room(8) == LEAST


@pytest.mark.parametrize(
    ("decode_s", "token_s", "room"),
    [
        (0.015, 0.003, LEAST),  # one stream of a small model: 20 tokens would do, 64 are the least
        (0.0875, 0.003, 112),
        (0.5, 0.01, 192),
        (2.0, 0.004, 512),
    ],
)
def test_a_prompts_part_of_a_step_takes_four_steps_of_decoding(decode_s, token_s, room):
    assert told(decode_s, token_s).room(8) == room


def test_a_prompt_alone_says_how_long_a_token_of_prompt_takes():
    budget = PrefillBudget(512)
    budget.note(0, 500, 500 * 0.005)
    budget.note(8, 0, 0.25)

    assert budget.room(8) == 192


def test_a_number_of_sequences_that_was_not_measured_counts_as_the_nearest():
    budget = told(0.25, 0.005, num_decoding=8)
    for _ in range(KEPT):
        budget.note(1, 0, 0.0001)

    assert (budget.room(7), budget.room(16), budget.room(2)) == (192, 192, LEAST)


def test_a_single_step_that_was_held_up_changes_nothing():
    budget = told(0.25, 0.005)

    budget.note(8, 0, 60.0)
    budget.note(8, LEAST, 60.0)

    assert budget.room(8) == 192


def test_a_machine_that_has_become_slower_is_noticed():
    budget = told(0.25, 0.005)

    for _ in range(KEPT):
        budget.note(8, LEAST, 0.25 + LEAST * 0.01)

    assert budget.room(8) == 96


def test_a_few_tokens_of_prompt_say_nothing_about_many():
    budget = told(0.25, 0.005)

    for _ in range(KEPT):
        budget.note(8, 2, 0.5)

    assert budget.room(8) == 192


def test_a_gpu_takes_at_least_512_and_a_small_batch_no_more_than_it_holds():
    assert BatchPlanner(2048, least=LEAST_GPU).budget.room(8) == LEAST_GPU
    assert BatchPlanner(100, least=LEAST_GPU).budget.room(8) == 100
    assert told(9.0, 0.001, most=100).room(8) == 100


class NoSampler:
    def close(self) -> None: ...


def one(number: int, num_tokens: int, computed: int = 0) -> Sequence:
    made = Sequence(number, [0] * num_tokens, num_tokens, 8192, -1, None, NoSampler(), number)
    made.began_ns, made.computed = number, computed
    return made


class Machine:
    """Computes plans in no time, and tells how long they would take."""

    def __init__(self, sequence_s: float, step_s: float, token_s: float) -> None:
        self.sequence_s, self.step_s, self.token_s = sequence_s, step_s, token_s
        self.planner = BatchPlanner(512)

    def step(self, live: list[Sequence]) -> float:
        batches = self.planner.plan(live)
        decoding, prompt = counts_of(batches)
        seconds = prompt * self.token_s
        seconds += self.step_s + self.sequence_s * decoding if decoding else 0.0
        for items in batches:
            note_turns(items, live)
            for item in items:
                item.sequence.computed += item.count
                if not item.sequence.waiting:
                    item.sequence.tokens.append(0)
        self.planner.budget.note(decoding, prompt, seconds)
        return seconds


MACHINES = [(0.009, 0.012, 0.0029), (0.02, 0.01, 0.004), (0.001, 0.03, 0.0005), (0.2, 0.1, 0.03)]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_long_prompt_beside_eight_streams_is_soon_read_and_holds_nobody_up_for_long(machine):
    machine = Machine(*machine)
    streams, prompt = [one(n, 11, 10) for n in range(8)], one(8, 2600)
    decode_s = [machine.step(streams) for _ in range(4)][-1]
    alone_s = prompt.num_prompt * machine.token_s

    steps = []
    while prompt.num_generated == 0:
        steps.append(machine.step([*streams, prompt]))

    least_s = LEAST * machine.token_s
    assert max(steps) <= decode_s + max(DECODE_STEPS * decode_s, least_s) * 1.001
    assert sum(steps) <= 1.35 * alone_s + max(steps)


def test_it_tells_what_a_token_takes_of_a_prompt_and_of_an_answer() -> None:
    budget = PrefillBudget(512)
    untold = budget.token_times()
    budget.note(1, 0, 0.02)
    budget.note(16, 0, 0.16)
    budget.note(16, 100, 0.36)

    assert untold == (0.0, 0.0)
    assert budget.token_times() == pytest.approx((0.002, 0.01))
