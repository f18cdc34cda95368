"""Fair turns between users: what `fairness` promises, by simulation of thousands of requests."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from ollama_nb_server.engine.messages import Priority
from ollama_nb_server.scheduling.fairness import HEAD_START, Prices, is_crowded
from turns import Simulation, rng

BATCH = Priority.BATCH
LONGEST = 0.25 * 200 + 200  # the price of the largest request that `fill` makes
BOUND = 2 * 17 * LONGEST


def fill(model: Simulation, random, users: dict[str, float], depth: int = 20, **fields) -> None:
    """Have each user wait with so many requests of any length."""
    waiting = model.waiting()
    for user, weight in users.items():
        for _ in range(depth - waiting[user]):
            lengths = random.randint(1, 200), random.randint(1, 200)
            model.come(user, *lengths, weight=weight, **fields)


def lag(model: Simulation, users: dict[str, float], before: dict[str, float]) -> float:
    """How much further the best served user has come than the worst, by weight."""
    had = [(model.served[u] - before.get(u, 0)) / weight for u, weight in users.items()]
    return max(had) - min(had)


@pytest.mark.parametrize("seed", range(3))
def test_the_lag_between_a_hundred_users_who_always_wait_is_bounded(seed: int) -> None:
    model, random = Simulation(), rng(seed)
    users = {f"u{n}": 1.0 for n in range(100)}
    lags = []
    for _ in range(6000):
        fill(model, random, users, depth=2)
        model.step()
        lags.append(lag(model, users, {}))

    assert len(model.begun) > 800
    assert max(lags) <= BOUND
    assert max(lags[3000:]) < 2 * max(lags[:3000]), "it does not grow"


def test_a_flood_of_long_answers_gets_no_more_than_short_ones() -> None:
    """Unfinished work counts: by requests alone the long ones would get a hundred times as much."""
    model, users = Simulation(), {"long": 1.0, "short": 1.0}
    for _ in range(8000):
        waiting = model.waiting()
        for _ in range(20 - waiting["long"]):
            model.come("long", 40, 1000)
        for _ in range(20 - waiting["short"]):
            model.come("short", 40, 10)
        model.step()

    assert lag(model, users, {}) <= 2 * 17 * 1010
    assert 0.75 < model.served["long"] / model.served["short"] < 1.33


def test_weights_are_respected() -> None:
    model, random = Simulation(), rng(1)
    users = {"one": 1.0, "two": 2.0, "five": 5.0}
    for _ in range(8000):
        fill(model, random, users)
        model.step()
    shares = {user: model.served[user] / sum(model.served.values()) for user in users}

    assert shares == pytest.approx({"one": 1 / 8, "two": 2 / 8, "five": 5 / 8}, abs=0.02)


def test_a_newcomer_saves_nothing_up_and_owes_nothing() -> None:
    model, random = Simulation(), rng(2)
    for _ in range(4000):
        fill(model, random, {"old": 1.0})
        model.step()
    before = dict(model.served)
    users = {"old": 1.0, "new": 1.0}
    lags = []
    for _ in range(4000):
        fill(model, random, users)
        model.step()
        lags.append(lag(model, users, before))

    assert max(lags) <= BOUND


def test_who_used_little_while_there_was_room_has_no_credit_later() -> None:
    model, random = Simulation(), rng(3)
    for _ in range(3000):
        if model.running()["busy"] < 12:
            model.come("busy", 40, random.randint(1, 200))
        if not model.running()["calm"]:
            model.come("calm", 40, random.randint(1, 200))
        model.step()
    before, users = dict(model.served), {"busy": 1.0, "calm": 1.0}
    lags = []
    for _ in range(3000):
        fill(model, random, users)
        model.step()
        lags.append(lag(model, users, before))

    assert max(lags) <= BOUND


@pytest.mark.parametrize("seed", range(3))
def test_nobody_starves_whoever_comes_leaves_or_cancels(seed: int) -> None:
    """A hundred users of any habits; the checks of the simulation run at every event."""
    model, random = Simulation(max_running=8), rng(seed)
    turns = []
    for _ in range(5000):
        user = f"u{int(random.paretovariate(0.7)) % 100}"
        priority = random.choice([Priority.INTERACTIVE, BATCH])
        if len(model.jobs) < 400:
            weight = float(1 + len(user) % 3)
            lengths = random.randint(1, 100), random.randint(1, 100)
            turns.append(model.come(user, *lengths, weight, priority))
        if random.random() < 0.1:
            model.cancel(random.choice(turns))
        if random.random() < 0.8:
            model.step()
    for _ in range(20_000):
        if not model.jobs:
            break
        model.step()

    assert not model.jobs, "everybody's turn came"
    assert model.fair.counters == {}, "nothing is kept when nothing goes on"
    for user in {turn.user for turn in model.begun}:
        ranks = [t.id for t in model.begun if t.user == user and t.priority is BATCH]
        assert ranks == sorted(ranks)


def test_an_interactive_flood_does_not_starve_a_batch() -> None:
    model, random = Simulation(), rng(4)
    users = {"person": 1.0, "program": 1.0}
    lags = []
    for _ in range(6000):
        fill(model, random, {"person": 1.0})
        fill(model, random, {"program": 1.0}, priority=BATCH)
        model.step()
        lags.append(lag(model, users, {}))

    assert max(lags) <= BOUND + HEAD_START
    assert model.served["program"] > 0.4 * model.served["person"]


def test_interactive_requests_come_before_anybodys_batch() -> None:
    model = Simulation(capacity=1, num_express=0)
    for _ in range(5):
        model.come("a", priority=BATCH)
    model.come("b")
    model.come("a")

    assert [(t.user, t.priority) for t in model.fair.order()[:3]] == [
        ("b", Priority.INTERACTIVE),
        ("a", Priority.INTERACTIVE),
        ("a", BATCH),
    ]


def test_one_user_has_the_order_of_a_queue() -> None:
    model, random = Simulation(capacity=2, num_express=0), rng(5)
    for _ in range(300):
        priority = random.choice([Priority.INTERACTIVE, BATCH])
        model.come("", 10, random.randint(1, 30), priority=priority)
    waiting = model.fair.order()
    model.begun.clear()
    while model.jobs:
        model.step()

    assert model.begun == waiting == sorted(waiting, key=lambda turn: turn.rank)


def test_the_place_is_the_order_in_which_they_come_if_nobody_else_does() -> None:
    model = Simulation(capacity=1, num_express=0)
    for user in "aaaabbc":
        model.come(user, 0, 10)
    told = model.fair.order()
    model.begun.clear()
    while model.jobs:
        model.step()

    assert [t.user for t in told] == [t.user for t in model.begun]


def test_a_flood_leaves_a_newcomer_an_express_turn_at_once() -> None:
    model = Simulation()
    for _ in range(200):
        model.come("flood", 40, 1000)
    first, second = model.come("new"), model.come("new")

    assert model.waits["new"] == [0]
    assert second in model.fair.order()
    assert first not in model.fair.order()
    assert model.running() == {"flood": 16, "new": 1}


def test_single_requests_beside_a_flood_never_wait() -> None:
    model = Simulation()
    for _ in range(2000):
        for _ in range(30 - model.waiting()["flood"]):
            model.come("flood", 40, 80)
        if "new" not in model.running() + model.waiting():
            model.come("new", 40, 20)
        model.step()

    assert len(model.waits["new"]) == 100
    assert max(model.waits["new"]) == 0


def test_without_express_turns_a_newcomer_is_next() -> None:
    model = Simulation(num_express=0)
    for _ in range(200):
        model.come("flood", 40, 100)
    new = model.come("new")

    assert model.fair.order()[0] == new


def test_express_turns_do_not_undo_weights() -> None:
    model, random = Simulation(), rng(6)
    users = {"light": 0.01, "heavy": 1.0}
    for _ in range(8000):
        fill(model, random, users, depth=3)
        model.step()

    assert model.served["light"] < 0.03 * model.served["heavy"]


def test_a_user_with_a_limit_waits_and_others_take_what_is_free() -> None:
    model = Simulation(capacity=4, num_express=0, max_running=2)
    for user in "aaaab":
        model.come(user, 10, 100)

    assert model.running() == {"a": 2, "b": 1}
    assert model.waiting() == {"a": 2}


def test_a_users_median_wait_in_a_crowd_is_alike() -> None:
    model, random = Simulation(), rng(7)
    users = {f"u{n}": 1.0 for n in range(100)}
    for _ in range(6000):
        fill(model, random, users, depth=1)
        model.step()
    medians = [statistics.median(model.waits[user]) for user in users]

    assert max(medians) < 3 * max(min(medians), 1)


def test_a_prompts_token_has_the_price_that_was_measured() -> None:
    assert Prices.measured(0.002, 0.01).prompt == pytest.approx(0.2)
    assert Prices.measured(0.0, 0.01) == Prices.measured(0.002, 0.0) == Prices(1.0)
    assert Prices.measured(0.002, 0.01).cost(100, 10) == pytest.approx(30)


def test_a_full_queue_has_a_place_for_who_has_less_than_their_share() -> None:
    assert is_crowded({"a": 10}, "a", 10)
    assert not is_crowded({"a": 10}, "b", 10)
    assert is_crowded({"a": 10, "b": 5}, "b", 10)
    assert is_crowded({}, "a", 0)
    assert not is_crowded({"": 9}, "", 10)
    assert is_crowded({"": 10}, "", 10)


def test_counters_never_fall_for_who_waits_but_by_what_was_not_computed() -> None:
    model = Simulation(capacity=1, num_express=0)
    model.come("a", 0, 100)
    turn = model.come("a", 0, 10)
    model.come("b", 0, 10)
    seen = []
    for _ in range(130):
        model.step()
        seen.append(model.fair.counters.get("b", 0.0))

    assert turn.id not in model.jobs
    assert all(a <= b for a, b in pairwise(seen[:100]))


def test_an_answer_that_goes_on_counts_as_it_grows() -> None:
    model = Simulation(capacity=2, num_express=0)
    model.come("long", 0, 10_000)
    for _ in range(300):
        for user in ("long", "short"):
            for _ in range(2 - model.waiting()[user]):
                model.come(user, 0, 10)
        model.step()

    assert model.served["short"] > 0.9 * 300, "the other slot is theirs"


def test_what_was_charged_in_advance_and_not_computed_is_given_back() -> None:
    model = Simulation(capacity=1, num_express=0)
    model.come("once long", 0, 1000)
    for _ in range(1000):
        model.step()
    users = {"once long": 1.0, "short": 1.0}
    before = dict(model.served)
    for _ in range(3000):
        for user in users:
            for _ in range(2 - model.waiting()[user]):
                model.come(user, 0, 10)
        model.step()

    assert lag(model, users, before) < 100


def test_a_person_who_has_had_more_still_comes_before_a_program() -> None:
    model = Simulation(capacity=1, num_express=0)
    model.come("person", 0, 500)
    model.come("program", 0, 10, priority=BATCH)
    for _ in range(100):
        model.step()
    again = model.come("person", 0, 10)

    assert model.fair.order()[0] == again
