"""Users who share a model: what was computed for one is never used for another, but for a beginning
that is everybody's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.engine.messages import TextSegment
from ollama_nb_server.engine.prefixes import cache as prefix_cache
from ollama_nb_server.engine.prefixes.index import num_shared
from ollama_nb_server.engine.prefixes.kv_cache import KVCache
from ollama_nb_server.engine.prefixes.prefix import PrefixRules
from ollama_nb_server.engine.sequence import Sequence
from serving import Serving
from token_memory import BYTES_A_TOKEN, TokenMemory, assert_contents, assert_sound

MUCH = 1000 * BYTES_A_TOKEN
PUBLIC = [0, 1, 0, 1, 0, 1, 0, 1]
TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=16)


class NoSampler:
    def close(self) -> None: ...


def asked(tokens: list[int], salt: str) -> Sequence:
    return Sequence(
        id=1,
        tokens=list(tokens),
        num_prompt=len(tokens),
        num_ctx=64,
        num_predict=-1,
        text=None,
        sampler=NoSampler(),
        salt=salt,
        num_public=num_shared(tokens, PUBLIC),
    )


@pytest.fixture
def _worth_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_cache, "WORTH", 1)


@pytest.mark.usefixtures("_worth_little")
@pytest.mark.parametrize(
    "rules", [PrefixRules(), PrefixRules(whole=True), PrefixRules(window=4)], ids=str
)
@given(
    earlier=st.lists(st.tuples(TOKENS, st.sampled_from(["", "a", "b"]), st.booleans())),
    prompt=TOKENS,
    num_slots=st.integers(2, 4),
)
def test_a_wrong_user_s_prefix_is_never_used(rules, earlier, prompt, num_slots) -> None:
    memory = TokenMemory(num_slots, rules.whole, rules.window)
    cache, running, least = KVCache(memory, num_slots, rules, MUCH), [], 0
    for tokens, salt, stays in earlier:
        one = asked(tokens, salt)
        cache.acquire(one)
        memory.compute(one.slot, one.computed, one.tokens[one.computed :])
        one.computed = len(tokens)
        common = num_shared(tokens, prompt)
        least = max(least, common if salt == "b" else min(common, num_shared(PUBLIC, prompt)))
        if stays and len(running) < num_slots - 1:
            running.append(one)
        else:
            cache.release(one)
            cache.close_holes()
            memory.move_data()
            cache.settle(computed=True)

    mine = asked(prompt, "b")
    waits = cache.awaits(mine)
    if cache.num_free:
        cache.acquire(mine)

    assert mine.num_cached <= least
    assert not waits  # all that others compute is computed
    assert_sound(cache)
    assert_contents(cache, memory)


def test_nobody_waits_for_what_another_user_computes() -> None:
    memory = TokenMemory(3)
    cache = KVCache(memory, 3, PrefixRules(), MUCH)
    tokens = [*range(100)]
    cache.acquire(asked(tokens, "a"))

    waits = {salt: cache.awaits(asked(tokens, salt)) for salt in ("", "a", "b")}

    assert waits == {"": False, "a": True, "b": False}


# --- on a real model ------------------------------------------------------------------------------

SYSTEM = "You are a kind storyteller who tells of animals. " * 6


@pytest.fixture(scope="module", params=["q4_k_gguf", "mamba_gguf"])
def serving(request):
    made = Serving(request.getfixturevalue(request.param), num_ctx=1024)
    yield made
    made.close()


def cached(serving: Serving, prompt: str, salt: str, public: str = "") -> int:
    text = (TextSegment(public),) if public else ()
    answer = serving.answer((TextSegment(prompt),), num_predict=1, salt=salt, public=text)
    return answer.end.cached_count


def test_a_guess_of_another_s_prompt_is_a_miss(serving) -> None:
    secret = "My number is 4711. " * 12
    fresh = cached(serving, secret, "a")

    assert (fresh, cached(serving, secret, "b")) == (0, 0)
    assert cached(serving, secret, "a") > 50


def test_the_public_beginning_is_computed_once_and_no_token_more(serving) -> None:
    secret = SYSTEM + "Once a fox met a crow in the wood, and said: " * 3
    first = [cached(serving, secret, salt, SYSTEM) for salt in ("c", "d")]
    again = cached(serving, secret, "e", SYSTEM)  # the third, where a state must be copied

    most = len(serving.engine.model.tokenize(SYSTEM, add_special=True))
    assert first[0] == 0
    assert most - 3 <= again <= most
    assert cached(serving, secret, "f", SYSTEM) == again
    assert cached(serving, secret, "g") == 0


def test_users_at_once_share_the_public_beginning_only(serving) -> None:
    secret = SYSTEM[8:] + "Tell me of the fox and of the crow. " * 5
    public = (TextSegment(SYSTEM[8:]),)
    asks = [
        serving.ask((TextSegment(secret),), num_predict=1, salt=salt, public=public)
        for salt in "abc"
    ]
    serving.run()

    counts = [serving.answers[request].end.cached_count for request in asks]
    most = len(serving.engine.model.tokenize(SYSTEM[8:], add_special=True))
    assert max(counts) <= most
    assert counts[-1] >= most - 3
