"""Rolling quotas, held to a plain sum over everything that was used."""

from __future__ import annotations

import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from ollama_nb_server.accounts.ledger import (
    NS,
    NUM_SLICES,
    Kind,
    Limit,
    QuotaLedger,
    limits_by,
    limits_of,
)
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.scheduling.errors import QuotaSpent
from ollama_nb_server.sharing import BadSharing, Quota, Sharing

ANA = Caller("ana", manages=False, groups=frozenset({"class"}))
HOUR_S = 3600.0


def hourly(tokens: int, **whom: object) -> Quota:
    return Quota(tokens=tokens, window="1h", **whom)


def tokens_of(quotas: list[Quota], caller: Caller) -> list[int]:
    return [limit.amount for limit in limits_of(quotas, caller)]


def test_what_was_used_frees_up_in_turn() -> None:
    ledger = QuotaLedger([hourly(100)])
    ledger.add("ana", 0.0, 60, 0)
    ledger.check(ANA, 600.0)
    ledger.add("ana", 600.0, 60, 0)

    with pytest.raises(QuotaSpent) as refused:
        ledger.check(ANA, 601.0)
    assert refused.value.retry_at == datetime.fromtimestamp(HOUR_S).astimezone()
    with pytest.raises(QuotaSpent):
        ledger.check(ANA, HOUR_S - 1)
    ledger.check(ANA, HOUR_S)
    assert [state.used for state in ledger.states(ANA, HOUR_S)] == [60]
    assert [state.used for state in ledger.states(ANA, HOUR_S + 600)] == [0]


@pytest.mark.parametrize(
    ("zone", "said"), [("Asia/Tokyo", "10:00:00 JST"), ("America/Denver", "18:00:00 MST")]
)
def test_when_there_is_more_is_told_in_the_zone_of_the_configuration(zone, said) -> None:
    ledger = QuotaLedger([hourly(100)], ZoneInfo(zone))
    ledger.add("ana", 0.0, 100, 0)

    with pytest.raises(QuotaSpent, match=said):
        ledger.check(ANA, 600.0)


def test_others_do_not_count() -> None:
    ledger = QuotaLedger([hourly(100)])
    ledger.add("ben", 0.0, 1000, 0)

    ledger.check(ANA, 1.0)


def test_seconds_of_computing_count_by_themselves() -> None:
    ledger = QuotaLedger([Quota(compute_seconds=1.5, window="30m")])
    ledger.add("ana", 0.0, 10**9, NS)
    ledger.check(ANA, 1.0)
    ledger.add("ana", 1.0, 0, NS // 2)

    with pytest.raises(QuotaSpent, match=r"ana's quota of 1.5 seconds of computing in 30 min is"):
        ledger.check(ANA, 2.0)


def test_the_quota_that_stays_spent_for_longest_says_when() -> None:
    ledger = QuotaLedger([hourly(10), Quota(tokens=10, window="1d")])
    ledger.add("ana", 0.0, 10, 0)

    with pytest.raises(QuotaSpent, match="10 tokens in 1 d"):
        ledger.check(ANA, 1.0)


def test_the_closest_quota_counts_and_of_groups_the_most_generous() -> None:
    everybody, group = hourly(10), hourly(20, groups={"class"})
    other, named = hourly(30, groups={"class", "staff"}), hourly(5, users={"ana"})

    assert tokens_of([everybody], ANA) == [10]
    assert tokens_of([everybody, group], ANA) == [20]
    assert tokens_of([other, everybody, group], ANA) == [30]
    assert tokens_of([everybody, group, other, named], ANA) == [5]
    assert tokens_of([everybody, Quota(tokens=7, window="1d")], ANA) == [10, 7]
    assert tokens_of([group], Caller("ben", manages=False)) == []


def test_who_manages_is_under_a_quota_that_names_them() -> None:
    eve = Caller("eve", manages=True, groups=frozenset({"staff"}))

    assert tokens_of([hourly(10)], eve) == []
    assert tokens_of([hourly(10), hourly(20, users={"eve"})], eve) == [20]
    assert tokens_of([hourly(10), hourly(30, groups={"staff"})], eve) == [30]


def test_years_of_requests_are_counted_in_bounded_memory() -> None:
    """Against a plain sum: never too little, and too much by what a slice holds at most."""
    drawn = random.Random(7)
    limit, window = 5000, 86_400.0
    ledger = QuotaLedger([Quota(tokens=limit, window=window)])
    slice_s, used, now, refused = window / NUM_SLICES, [], 0.0, 0
    for _ in range(20_000):
        now += drawn.expovariate(1 / 300)
        exact = sum(n for at, n in used if at + window > now)
        longer = sum(n for at, n in used if at + window + slice_s > now)
        (state,) = ledger.states(ANA, now)
        assert exact <= state.used <= longer
        try:
            ledger.check(ANA, now)
        except QuotaSpent as error:
            refused += 1
            freed = error.retry_at.timestamp()
            assert now < freed <= now + window + slice_s
            assert sum(n for at, n in used if at + window > freed + 1e-5) < limit
        else:
            assert exact < limit
            tokens = drawn.randint(1, 60)
            ledger.add("ana", now, tokens, 0)
            used.append((now, tokens))
        used = [(at, n) for at, n in used if at + window + slice_s > now]
    rolling = ledger._sum("ana", Kind.TOKENS, window)
    assert refused > 100
    assert len(rolling._slices) <= NUM_SLICES + 2


def test_limits_in_words() -> None:
    assert str(Limit(Kind.TOKENS, HOUR_S, 20_000)) == "20,000 tokens in 1 h"
    assert str(Limit(Kind.COMPUTE_SECONDS, 7 * 86_400.0, 90 * NS)) == (
        "90 seconds of computing in 7 d"
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"quotas": [{"tokens": 5}]}, "quotas.0.window: Field required"),
        ({"quotas": [{"tokens": 5, "window": "soon"}]}, "'soon' is no time such as 30m"),
        ({"quotas": [{"window": "1h"}]}, "a quota limits tokens"),
        ({"quotas": [{"tokens": 0, "window": "1h"}]}, "quotas.0.tokens"),
        ({"quotas": [{"tokens": 5, "window": "1h", "user": ["a"]}]}, "quotas.0.user: Extra"),
        ({"quotas": [{"tokens": 5, "window": "3w"}], "retention_days": 14}, "set retention_days"),
        ({"retention_days": 0}, "retention_days"),
    ],
)
def test_a_quota_that_cannot_be_kept_is_refused(said: dict, why: str) -> None:
    with pytest.raises(BadSharing, match=r"^here: ") as failure:
        Sharing.of(said, "here")

    assert why in str(failure.value)


def test_what_a_hub_hands_over_is_read_again() -> None:
    said = Sharing.of({"quotas": [{"tokens": 5, "window": "1h", "groups": ["a"]}]}, "here")

    assert Sharing.from_environ({"OLLAMA_NB_SHARING": said.model_dump_json()}) == said


def test_which_quota_a_limit_is_due_to() -> None:
    everybody, group = hourly(10), hourly(20, groups={"class"})
    larger, named = hourly(30, groups={"class"}), hourly(5, users={"ben"})
    quotas = [everybody, group, larger, named]

    assert [limits_by(quota, quotas, ANA) != [] for quota in quotas] == [False, False, True, False]
    assert limits_by(larger, quotas, ANA) == limits_of(quotas, ANA)
