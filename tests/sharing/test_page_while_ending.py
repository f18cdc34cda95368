"""The page of a server that is about to end: it says so, and does nothing but end requests."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from ollama_nb_server.pages.actions import OF_ADMINISTRATORS
from people import ADMIN, Page, Shared

PEOPLE = {"eve": ADMIN, "ana": ()}
LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself


@pytest.fixture
def ending(share: Callable[..., Shared], eventually) -> tuple[Shared, Page, Page, threading.Thread]:
    """A server that has been told to end while ana's answer goes on; the pages of ana and eve."""
    shared = share('contact = "Ms Ada"\nquotas = [{tokens = 900_000_000, window = "1d"}]\n', PEOPLE)
    thread = threading.Thread(target=_ask, args=(shared["ana"],))
    thread.start()
    ana, eve = shared.page("ana"), shared.page("eve")
    eventually(lambda: "is answered" in ana.section("requests"), "the answer has begun")
    shared.server.process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in ana.section("ending"), "the page says it")
    return shared, ana, eve, thread


def _ask(client: httpx.Client) -> None:
    options: dict[str, Any] = {"temperature": 0, "num_predict": 200_000, "grammar": LINES}
    body = {"model": "demo", "prompt": "Write.", "options": options}
    with client.stream("POST", "/api/generate", json=body) as answer:
        for _ in answer.iter_lines():
            pass


def test_the_page_says_so_and_only_ends_requests(ending) -> None:
    shared, ana, eve, thread = ending

    for page in (ana, eve):
        assert page.section("ending") == (
            "This server is stopping: 1 request may finish, for up to 30 s; new ones are refused, "
            "until it has started again."
        )
        assert "is answered" in page.section("requests")
    buttons = set(re.findall('name="action" value="([^"]+)"', eve.text()))
    assert buttons == {"leave", "end"}

    for action in OF_ADMINISTRATORS:
        refused = eve.press(action, "demo", users="", groups="", tokens="5", window="1d")
        assert refused.status_code == 503
        assert "This server is stopping, so that was not done" in refused.text
        assert int(refused.headers["Retry-After"]) > 0
    assert not (shared.store.root / "ollama_nb" / "overrides.json").exists()

    (number,) = re.findall('value="(\\d+)"><button name="action" value="end"', ana.text())
    said = ana.press("end", number)

    assert "The request was ended." in said.text
    thread.join(20)
    assert shared.server.process.wait(20) == 0


def test_who_signs_in_meanwhile_is_told_too(ending) -> None:
    shared, ana, _, thread = ending

    assert "stopping" in shared.page("ana").section("ending")
    (number,) = re.findall('value="(\\d+)"><button name="action" value="end"', ana.text())
    ana.press("end", number)
    thread.join(20)
