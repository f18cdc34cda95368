"""A server that is away for a moment is asked again, as long as nothing of an answer has come."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
import warnings

import httpx
import pandas as pd
import pytest
from cells import eventually
from other_ollama import OtherOllama

import ollama_nb.frames
from ollama_nb.asking.dry_run import dry_run
from ollama_nb.asking.many import ask_many
from ollama_nb.asking.request import Request
from ollama_nb.asking.streaming import ask, ask_async
from ollama_nb.connection import searching
from ollama_nb.connection.patience import (
    PRIORITY_HEADER,
    TOTAL_S,
    WAITING,
    Patience,
    crowded_s,
    pause,
    return_s,
)
from ollama_nb.display.screens import LiveCell
from ollama_nb.errors import (
    AnswerFailed,
    NoAccounts,
    NoServer,
    ServerNotReady,
    ServerWarning,
)
from ollama_nb.frames.errors import NoTokenCounts

PAGE = (503, {"Content-Type": "text/html"}, "<html>Service Unavailable</html>")
SOON = (503, {"Content-Type": "application/json", "Retry-After": "1"}, '{"error": "ending"}')
SOON_NOW = (503, {"Content-Type": "application/json", "Retry-After": "0"}, '{"error": "ending"}')
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


@pytest.mark.parametrize(
    ("priority", "more", "seconds"),
    [
        ("batch", {"Retry-After": "2"}, 2.0),
        ("batch", {"Retry-After": "900"}, 5.0),
        ("batch", {}, None),
        ("batch", {"Retry-After": "2", "X-Ollama-Nb-Retry-At": "2026-11-29T10:00:00+00:00"}, None),
        ("interactive", {"Retry-After": "2"}, None),
    ],
)
def test_only_one_of_many_waits_for_the_others(priority, more, seconds) -> None:
    answer = response(429, more, "")
    answer.request = httpx.Request("POST", "http://there", headers={PRIORITY_HEADER: priority})

    assert crowded_s(answer) == seconds


def test_patience_has_an_end() -> None:
    now_s = 0.0
    patience, tries = Patience(lambda: now_s), 0

    while (pause_s := patience.pause_s(0.0)) is not None:
        now_s += pause_s
        tries += 1

    assert TOTAL_S - 2 <= now_s <= TOTAL_S
    assert tries < 20
    assert Patience().pause_s(None) is None


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


CALLS = {
    "embed": lambda: ollama_nb.embed(["a"], model="other"),
    "show": lambda: ollama_nb.show("other"),
    "list": lambda: ollama_nb.models(),
    "ps": lambda: ollama_nb.ps(),
    "stop": lambda: ollama_nb.stop("other"),
    "copy": lambda: ollama_nb.copy("other:latest", "second"),
    "remove": lambda: ollama_nb.remove("other:latest"),
    "pull": lambda: ollama_nb.pull("tiny", show=False),
    "push": lambda: ollama_nb.push("other:latest", show=False),
    "create": lambda: ollama_nb.create("mine", from_="other:latest", show=False),
    "render": lambda: dry_run(REQUEST),
    "score": lambda: ollama_nb.score("Is it so?", ["yes", "no"], model="other"),
    "count_tokens": lambda: pd.Series(["a"]).llm.count_tokens(model="other"),
    "usage": lambda: ollama_nb.usage(),
    "default_model": lambda: ollama_nb.generate("one"),
}
# What a server without routes of ours says behind the waiting.
SAYS = {"count_tokens": NoTokenCounts, "usage": NoAccounts}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_waits(connected, name, monkeypatch) -> None:
    monkeypatch.setattr("ollama_nb.connection.patience.PAUSES_S", (0.01,))
    connected.says = {"Is it so?": "yes"}
    connected.away = [PAGE, SOON_NOW, PAGE]

    with warnings.catch_warnings(), contextlib.suppress(SAYS.get(name, ZeroDivisionError)):
        warnings.simplefilter("ignore", ServerWarning)  # a server without scores
        CALLS[name]()

    assert connected.away == []


@pytest.mark.parametrize("name", CALLS)
def test_who_stays_away_is_one_clear_line(connected, name, monkeypatch) -> None:
    monkeypatch.setattr("ollama_nb.connection.patience.PAUSES_S", (0.01,))
    monkeypatch.setattr("ollama_nb.connection.patience.TOTAL_S", 0.2)
    connected.away = [PAGE] * 10_000

    with pytest.raises((ServerNotReady, NoServer), match="is not ready") as raised:
        CALLS[name]()

    assert "HTTP 503" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(connected.away) > 9_800  # nobody has begun to wait again and again


def test_a_file_is_sent_again_from_its_beginning(connected, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("ollama_nb.connection.patience.PAUSES_S", (0.01,))
    file = tmp_path / "weights.gguf"
    file.write_bytes(b"GGUF" + bytes(3_000_000))
    sent = []

    def away_at_uploads(server, path: str) -> None:
        if "/blobs/" in path and path.startswith("POST") and len(sent) < 2:
            sent.append(path)
            server.away = [PAGE]

    connected.on_request = away_at_uploads
    ollama_nb.create("mine", from_=file, show=False)

    assert len(sent) == 2
    assert len(connected.store.blobs) == 1
    assert "mine" in connected.models


@pytest.mark.parametrize("variable", ["JUPYTER_OLLAMA_URL", "OLLAMA_HOST"])
def test_the_first_connection_waits_for_a_server_that_somebody_named(
    other, variable, monkeypatch, capsys
) -> None:
    monkeypatch.setenv(variable, other.url)
    other.away = [PAGE, SOON, PAGE]

    assert ollama_nb.models().index.tolist() == ["other:latest"]
    assert capsys.readouterr().err == f"{other.url} is not ready yet: asking again for 30 s\n"


def test_an_address_given_to_connect_is_waited_for(other) -> None:
    other.away = [PAGE]

    assert ollama_nb.connect(other.url).url == other.url


def test_nobody_waits_for_a_place_that_nobody_named(other, tmp_path, monkeypatch) -> None:
    (tmp_path / "jpserver-99999999.json").write_text(json.dumps({"url": f"{other.url}/"}))
    other.prefix, other.away = "/ollama", [PAGE] * 5

    assert searching.running({}, tmp_path, [], Patience()) is None or not other.away
    assert len(other.away) == 4


def test_a_place_that_a_hub_has_named_is_waited_for_while_nothing_listens(monkeypatch) -> None:
    first = OtherOllama()
    first.stop()
    monkeypatch.setenv("JUPYTER_OLLAMA_URL", first.url)
    monkeypatch.setenv("OLLAMA_NB_SET_HOST", "hub")
    begun = []
    monkeypatch.setattr(
        "ollama_nb.connection.searching._tell",
        lambda _: begun.append(OtherOllama(port=first.server_port)),
    )

    assert ollama_nb.models().index.tolist() == ["other:latest"]
    begun[0].stop()


def test_stop_ends_the_search_at_once(other, monkeypatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", other.url)
    other.away = [PAGE] * 100

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    pause.set(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            ollama_nb.models()
    finally:
        pause.set(time.sleep)
    assert len(other.away) == 99


def test_ctrl_c_ends_rows_that_look_for_a_server(other, monkeypatch) -> None:
    """The search of a worker runs in its thread, where Ctrl-C is not seen."""
    monkeypatch.setenv("OLLAMA_HOST", other.url)
    other.away = [PAGE] * 10_000
    begun_s, stopped = time.monotonic(), []

    def interrupt() -> None:
        if len(other.away) < 10_000 and not stopped:
            stopped.append(True)
            signal.raise_signal(signal.SIGINT)

    outcomes = ask_many([REQUEST], meanwhile=interrupt)

    assert outcomes.stopped
    assert time.monotonic() - begun_s < 15


@pytest.mark.parametrize("model", ["other", None])
def test_stop_of_a_chat_ends_its_search(other, model, monkeypatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", other.url)
    other.away = [PAGE] * 10_000
    talk = ollama_nb.Chat(model)
    talk.send("one")
    eventually(lambda: len(other.away) < 10_000, "the search begins")
    begun_s = time.monotonic()

    talk.stop()
    eventually(lambda: not talk.busy, "the end")
    talk.close()

    assert time.monotonic() - begun_s < 15
    assert "stopped before the first word" in talk.get_state()["turns"][-1]["html"]


def test_stop_ends_the_waiting_at_once(connected) -> None:
    connected.away = [PAGE] * 50
    began_s = time.monotonic()

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    pause.set(stop)
    try:
        with pytest.raises(ollama_nb.errors.Interrupted):
            ask(REQUEST, Screen())
    finally:
        pause.set(time.sleep)
    assert time.monotonic() - began_s < 5
