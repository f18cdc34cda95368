"""Where a request stands is told on the page by the numbers that its stream tells."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from people import ADMIN, Shared

PEOPLE = {"eve": ADMIN, "ana": (), "ben": (), "cleo": ()}
LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
ENDLESS = {"temperature": 0, "num_predict": -1, "grammar": LINES}
EXTRAS = {"X-Ollama-Nb-Extras": "1"}
TALK = {"messages": [{"role": "user", "content": "Hi"}]}
BODIES: dict[str, dict[str, Any]] = {
    "generate": {"prompt": "Hi", "stream": False, "options": ENDLESS},
    "chat": {**TALK, "stream": False, "options": ENDLESS},
    "score": {"prompt": "Was it?", "choices": ["Yes", "No"]},
}


@pytest.fixture(scope="module")
def shared(share: Callable[..., Shared]) -> Shared:
    one = {"OLLAMA_NUM_PARALLEL": "1", "OLLAMA_NB_HEARTBEAT": "5ms"}
    return share("express_slots = 0\n", PEOPLE, **one)


@pytest.fixture
def busy(shared: Shared) -> Iterator[ExitStack]:
    """The only slot is ana's, and some turns are over, so that an estimate can be told."""
    options = ENDLESS | {"num_predict": 300}
    body = {"model": "demo", "prompt": "Hi", "stream": False, "options": options}
    for _ in range(2):
        shared["ana"].post("/api/generate", json=body).raise_for_status()
    with ExitStack() as stack:
        told(stack, shared, "ana", lambda message: message.get("response"))
        yield stack


def told(stack: ExitStack, shared: Shared, who: str, until: Callable[[Any], Any]) -> Any:
    """The first message of an endless answer of whom a condition holds; it goes on behind it."""
    body = {"model": "demo", "prompt": "Hi", "options": ENDLESS}
    asked = shared[who].stream("POST", "/api/generate", json=body, headers=EXTRAS)
    lines = stack.enter_context(asked).iter_lines()
    stack.callback(lines.close)  # it is kept until then, and the answer goes on
    return next(message for message in map(json.loads, lines) if until(message))


def state(shared: Shared, who: str) -> list[str]:
    """What the page says of somebody's requests."""
    part = re.search('<section id="requests".*?</section>', shared.page(who).text(), re.S)
    assert part is not None
    found = re.findall(r'<td(?: class="waits")?>([^<]*)</td><td class="number">\d+</td>', part[0])
    return [one.strip() for one in found]


def has_a_place(message: Any) -> bool:
    return "place" in message.get("nb", {})


def test_the_page_tells_what_the_stream_tells(shared: Shared, busy: ExitStack) -> None:
    ben = told(busy, shared, "ben", has_a_place)["nb"]
    cleo = told(busy, shared, "cleo", has_a_place)["nb"]

    assert (ben["phase"], ben["place"], cleo["place"]) == ("queued", 1, 2)
    (of_ben,), (of_cleo,) = state(shared, "ben"), state(shared, "cleo")
    assert of_ben == f"number 1 in the queue, about {ben['eta_s']:.0f} s"
    assert of_cleo == f"number 2 in the queue, about {cleo['eta_s']:.0f} s"
    assert state(shared, "ana") == ["is answered"]
    assert sorted(state(shared, "eve")) == sorted(["is answered", of_ben, of_cleo])


@pytest.mark.parametrize("verb", sorted(BODIES))
def test_who_waits_for_a_whole_answer_sees_their_place(
    shared: Shared, busy: ExitStack, verb: str, eventually
) -> None:
    body = {"model": "demo", **BODIES[verb]}
    thread = threading.Thread(
        target=shared["ben"].post, args=(f"/api/{verb}",), kwargs={"json": body}
    )
    thread.start()

    eventually(lambda: "number 1 in the queue" in "".join(state(shared, "ben")), "its place", 20)

    page = shared.page("ben")
    (number,) = re.findall('value="(\\d+)"><button name="action" value="end"', page.text())
    page.press("end", number)
    thread.join(20)
    assert not thread.is_alive()


def test_who_waits_to_embed_sees_their_place(shared: Shared, eventually) -> None:
    texts = ["word " * 200] * 400
    body = {"model": "demo", "input": texts}

    def embed() -> None:
        shared["ben"].post("/api/embed", json=body)

    threads = [threading.Thread(target=embed) for _ in range(12)]
    for thread in threads:
        thread.start()

    eventually(lambda: "number 2 in the queue" in " ".join(state(shared, "ben")), "a place", 30)

    page = shared.page("ben")
    for number in re.findall('value="(\\d+)"><button name="action" value="end"', page.text()):
        page.press("end", number)
    for thread in threads:
        thread.join(60)


def test_who_waits_for_a_model_sees_how_far_it_is(
    share: Callable[..., Shared], held_load, eventually
) -> None:
    gate, environ = held_load
    shared = share("", PEOPLE, **environ)
    body = {"model": "demo", "prompt": "Hi", "stream": False, "options": {"num_predict": 2}}
    thread = threading.Thread(
        target=shared["ben"].post, args=("/api/generate",), kwargs={"json": body}
    )
    thread.start()

    eventually(
        lambda: re.search(r"its model is loaded, \d+ %", "".join(state(shared, "ben"))), "it"
    )

    gate.touch()
    thread.join(30)
    assert not thread.is_alive()
