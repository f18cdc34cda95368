"""Several people at one real server: a flood bars nobody, and everybody keeps to the limits."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from ollama_nb_server.sharing.tokens import TokenFile

LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
EXTRAS = {"X-Ollama-Nb-Extras": "1"}
GREEDY = {"temperature": 0, "num_predict": 8}
ENDLESS = {"temperature": 0, "num_predict": -1, "grammar": LINES}


@pytest.fixture
def shared(start_server: Callable[..., Any], tmp_path) -> Callable[..., Any]:
    """Start a server for `ana` and `ben` (of the group `class`); their clients."""

    def start(sharing: dict[str, Any] | None = None, **environ: str) -> dict[str, httpx.Client]:
        file = TokenFile(tmp_path / "tokens.json")
        tokens = {
            name: file.add(name, is_admin=False, groups=frozenset({"class"})) for name in USERS
        }
        server = start_server(
            "--tokens",
            str(file.path),
            OLLAMA_NB_HEARTBEAT="5ms",
            OLLAMA_NB_SHARING=json.dumps(sharing or {}),
            **environ,
        )
        for name, token in tokens.items():
            headers = {"Authorization": f"Bearer {token}", **EXTRAS}
            clients[name] = httpx.Client(
                base_url=server.url, headers=headers, timeout=60, trust_env=False
            )
        ask(clients["ana"]).raise_for_status()  # the model is loaded
        return clients

    clients: dict[str, httpx.Client] = {}
    yield start
    for client in clients.values():
        client.close()


USERS = ("ana", "ben")


def ask(client: httpx.Client, **options: Any) -> httpx.Response:
    body = {"model": "demo", "prompt": "Hi", "stream": False, "options": GREEDY | options}
    return client.post("/api/generate", json=body)


@contextmanager
def streaming(client: httpx.Client, path: str = "generate", **options: Any) -> Iterator[Any]:
    """What is told of an answer that goes on for ever, since it runs or has its place."""
    body: dict[str, Any] = {"model": "demo", "options": ENDLESS | options}
    said = {"generate": {"prompt": "Hi"}, "chat": {"messages": [{"role": "user", "content": "Hi"}]}}
    with client.stream("POST", f"/api/{path}", json=body | said[path]) as response:
        messages = map(json.loads, response.iter_lines())
        yield next(filter(has_come, messages)), messages


def has_come(message: dict[str, Any]) -> bool:
    """Whether a request has reached the queue: before, it is read."""
    said = message.get("nb", {})
    return said.get("phase") != "queued" or "place" in said


def flood(stack: ExitStack, client: httpx.Client, count: int) -> list[Any]:
    return [stack.enter_context(streaming(client)) for _ in range(count)]


def test_a_newcomer_is_served_while_one_users_answers_hold_all_slots(shared) -> None:
    people = shared(OLLAMA_NUM_PARALLEL="2")
    with ExitStack() as stack:
        flood(stack, people["ana"], 6)
        answer = ask(people["ben"])

    assert answer.is_success
    assert answer.json()["eval_count"] == 8


def test_without_express_slots_a_newcomer_is_next(shared) -> None:
    people = shared({"express_slots": 0}, OLLAMA_NUM_PARALLEL="1")
    with ExitStack() as stack:
        flood(stack, people["ana"], 4)
        _, messages = stack.enter_context(streaming(people["ben"]))
        places = [next(messages)["nb"]["place"] for _ in range(5)]

    assert places == [1] * 5


@pytest.mark.parametrize("verb", ["generate", "chat"])
def test_who_waits_is_told_the_place_and_an_estimate(shared, verb: str) -> None:
    people = shared(OLLAMA_NUM_PARALLEL="1")
    with ExitStack() as stack:
        flood(stack, people["ana"], 2)
        first, messages = stack.enter_context(streaming(people["ana"], verb))
        beats = [first, *(next(messages) for _ in range(3))]

    assert [beat["nb"]["phase"] for beat in beats] == ["queued"] * 4
    assert [beat["nb"]["place"] for beat in beats] == [2] * 4
    assert all(beat["nb"]["eta_s"] >= 0 for beat in beats)
    assert not any(beat["done"] for beat in beats)


def test_too_many_waiting_are_refused_with_the_limit_and_when_to_come_again(shared) -> None:
    people = shared({"max_waiting": 2}, OLLAMA_NUM_PARALLEL="1")
    with ExitStack() as stack:
        flood(stack, people["ana"], 3)
        refused, other = ask(people["ana"]), ask(people["ben"])

    assert refused.status_code == 429
    assert list(refused.json()) == ["error"]
    assert refused.json()["error"].startswith("2 requests of ana already wait")
    assert int(refused.headers["Retry-After"]) >= 1
    assert other.is_success


def test_over_the_limit_of_running_ones_a_request_waits(shared) -> None:
    people = shared({"max_running": 1}, OLLAMA_NUM_PARALLEL="4")
    with ExitStack() as stack:
        flood(stack, people["ana"], 1)
        second, _ = stack.enter_context(streaming(people["ana"]))
        assert ask(people["ben"]).is_success

    assert second["nb"]["phase"] == "queued"
    assert second["nb"]["place"] == 1


def test_a_full_queue_bars_nobody_else(shared) -> None:
    people = shared({"express_slots": 0}, OLLAMA_NUM_PARALLEL="1", OLLAMA_MAX_QUEUE="3")
    with ExitStack() as stack:
        flood(stack, people["ana"], 4)
        refused = ask(people["ana"])
        beat, _ = stack.enter_context(streaming(people["ben"]))

    assert refused.status_code == 503
    assert beat["nb"]["place"] == 1


def test_rows_of_a_flood_leave_single_requests_their_pace(shared) -> None:
    """The wait for the first word beside a flood, and while both send one after the other."""
    people = shared(OLLAMA_NUM_PARALLEL="4")
    in_turn = [_first_word_s(people["ben"]) for _ in range(9)]
    stop = threading.Event()
    rows = [threading.Thread(target=_rows, args=(people["ana"], stop)) for _ in range(12)]
    for row in rows:
        row.start()
    time.sleep(0.5)
    beside = [_first_word_s(people["ben"]) for _ in range(9)]
    stop.set()
    for row in rows:
        row.join()

    assert statistics.median(beside) < 10 * statistics.median(in_turn) + 0.1, (in_turn, beside)


def _rows(client: httpx.Client, stop: threading.Event) -> None:
    while not stop.is_set():
        ask(client, num_predict=100)


def _first_word_s(client: httpx.Client) -> float:
    began = time.perf_counter()
    body = {"model": "demo", "prompt": "Hi", "options": GREEDY}
    with client.stream("POST", "/api/generate", json=body) as response:
        for line in response.iter_lines():
            if json.loads(line)["response"]:
                return time.perf_counter() - began
    raise AssertionError("no word came")
