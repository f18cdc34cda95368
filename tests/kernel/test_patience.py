"""A server that is away for a moment is asked again, as long as nothing of an answer has come."""

from __future__ import annotations

import asyncio
import time

import httpx
import pandas as pd
import pytest

import ollama_nb.frames
from ollama_nb.asking.request import Request
from ollama_nb.asking.streaming import ask, ask_async
from ollama_nb.connection.patience import TOTAL_S, WAITING, Patience, return_s
from ollama_nb.display.screens import LiveCell
from ollama_nb.errors import AnswerFailed

PAGE = (503, {"Content-Type": "text/html"}, "<html>Service Unavailable</html>")
SOON = (503, {"Content-Type": "application/json", "Retry-After": "1"}, '{"error": "ending"}')
BUSY = (503, {"Content-Type": "application/json"}, '{"error": "server busy, please try again"}')
REQUEST = Request("generate", "other", {"prompt": "one two"})


def response(status: int, headers: dict[str, str], text: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, text=text)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (PAGE, 0.0),
        ((502, {}, ""), 0.0),
        (SOON, 1.0),
        ((503, {"Retry-After": "900"}, ""), 5.0),
        ((503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, ""), 0.0),
        (BUSY, None),
        ((500, {}, "<html>"), None),
        ((429, {"Retry-After": "1"}, ""), None),
    ],
)
def test_who_is_away_and_who_is_busy(said, seconds) -> None:
    assert return_s(response(*said)) == seconds


def test_patience_has_an_end() -> None:
    now_s, error = 0.0, Exception()
    error.return_s = 0.0
    patience, tries = Patience(lambda: now_s), 0

    while (pause_s := patience.pause_s(error)) is not None:
        now_s += pause_s
        tries += 1

    assert TOTAL_S - 2 <= now_s <= TOTAL_S
    assert tries < 20
    assert Patience().pause_s(Exception()) is None


class Screen(LiveCell):
    def __init__(self) -> None:
        super().__init__("other", lambda *_: 1)
        self.seen: list[str] = []

    def update(self, text: str, thinking: str = "", waiting: str = "") -> None:
        self.seen.append(waiting or text)


def test_a_cell_says_that_it_asks_again(connected) -> None:
    connected.away = [PAGE, SOON]
    screen = Screen()

    assert ask(REQUEST, screen) == "one two "
    assert screen.seen[:3] == [WAITING, WAITING, "one "]


def test_a_busy_server_is_not_asked_again(connected) -> None:
    connected.away = [BUSY, BUSY]

    with pytest.raises(AnswerFailed, match="server busy"):
        ollama_nb.generate("one", model="other")
    assert connected.away == [BUSY]


def test_rows_and_widgets_wait_too(connected) -> None:
    told: list[str] = []
    connected.away = [PAGE]
    answer = asyncio.run(ask_async(REQUEST, lambda *news: told.append(news[2])))
    connected.away = [PAGE]
    rows = pd.Series(["one two"]).llm.generate(model="other")

    assert answer == "one two "
    assert told[0] == WAITING
    assert rows.tolist() == ["one two"]


def test_stop_ends_the_waiting_at_once(connected, monkeypatch) -> None:
    connected.away = [PAGE] * 50
    began_s = time.monotonic()

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ollama_nb.asking.streaming.time.sleep", stop)
    with pytest.raises(ollama_nb.errors.Interrupted):
        ask(REQUEST, Screen())
    assert time.monotonic() - began_s < 5
