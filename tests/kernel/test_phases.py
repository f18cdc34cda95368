"""What our server tells beyond Ollama's fields, in the notebook: phases, losses, warnings."""

from __future__ import annotations

import re
import warnings

import pytest
from cells import Cells, kernel_environ

import ollama_nb
from ollama_nb.connection.phases import in_words
from ollama_nb.display.screens import LiveCell
from ollama_nb.errors import ServerWarning

LONG = "word " * 600


@pytest.mark.parametrize(
    ("nb", "words"),
    [
        ({}, ""),
        ({"phase": "queued"}, "waiting for a free slot"),
        ({"phase": "queued", "place": 3}, "number 3 in the queue"),
        ({"phase": "loading", "place": 1}, "loading the model"),
        ({"phase": "loading", "place": 1, "fraction": 0.409}, "loading the model, 40 %"),
        ({"phase": "loading", "place": 1, "fraction": 1.0}, "trying out the loaded model"),
        ({"phase": "prefill"}, "reading the prompt"),
        ({"phase": "prefill", "done": 0, "total": 2600}, "reading the prompt, 0 of 2,600 tokens"),
        (
            {"phase": "prefill", "done": 1300, "total": 2600, "eta_s": 7.6},
            "reading the prompt, 1,300 of 2,600 tokens, about 8 s left",
        ),
        ({"phase": "decode"}, "answering"),
        ({"phase": "dreaming"}, ""),
    ],
)
def test_phases_in_words(nb: dict, words: str) -> None:
    assert in_words(nb) == words


def test_the_cell_shows_what_is_waited_for_until_there_is_text() -> None:
    seconds, shown = [0.0], []
    cell = LiveCell(
        "demo", lambda bundle, _: shown.append(bundle["text/plain"]) or 1, lambda: seconds[0]
    )

    cell._send(cell._bundle())
    for waiting, text in (("number 2 in the queue", ""), ("loading the model", ""), ("", "Hello")):
        seconds[0] += 5
        cell.update(text, "", waiting)

    assert shown == [
        "*demo: waiting for the first word, 0 s*",
        "*demo: number 2 in the queue, 5 s*",
        "*demo: loading the model, 10 s*",
        "Hello",
    ]


@pytest.fixture
def real(ollama_server):
    ollama_nb.connect(ollama_server.url)


def test_what_was_cut_is_a_warning_and_a_column(real) -> None:
    options = {"num_predict": 2, "num_ctx": 128}
    with pytest.warns(ServerWarning, match="the prompt was cut") as caught:
        answer = ollama_nb.generate(LONG, model="demo", options=options)
    ollama_nb.generate("Hi", model="demo", options=options)
    with pytest.warns(ServerWarning, match="cut"):
        ollama_nb.embed([LONG, "Hi"], model="demo", options={"num_ctx": 64})

    assert len(caught) == 1
    assert answer.stats.truncated_tokens > 400
    columns = ollama_nb.stats()[["truncated_tokens", "cached_tokens"]]
    assert columns["truncated_tokens"].gt(0).tolist() == [True, False, True]
    assert columns["cached_tokens"].notna().tolist() == [True, True, False]


def test_a_cell_shows_how_much_of_the_model_is_read(start_server, held_load, tmp_path) -> None:
    gate, environ = held_load
    server = start_server(**environ)
    kernel = Cells(kernel_environ(server.url, tmp_path))

    shown: list[int] = []

    def go_on_when_shown(message: dict) -> None:
        text = message["content"].get("data", {}).get("text/plain", "")
        if found := re.search(r"loading the model, (\d+) %", text):
            shown.append(int(found[1]))
            gate.touch()

    run = kernel.run(
        "%generate -m demo -o num_predict=3 Hi", watched=True, on_message=go_on_when_shown
    )
    kernel.close()

    assert run.status == "ok"
    assert 0 < shown[0] < 100


def test_a_server_that_tells_nothing_leaves_the_columns_empty(connected) -> None:
    ollama_nb.generate("one")
    ollama_nb.embed(["one"])

    assert connected.headers["X-Ollama-Nb-Extras"] == "1"
    assert ollama_nb.stats()[["truncated_tokens", "cached_tokens"]].isna().all().all()


def test_heartbeats_are_shown_and_are_no_text(connected) -> None:
    """The other server stands for a slow one: what it waits for comes before its words."""
    connected.beats = [
        {"phase": "queued", "place": 1},
        {"phase": "prefill", "done": 1, "total": 2, "warnings": ["be careful"]},
    ]
    seen = []

    class Screen(LiveCell):
        def update(self, text: str, thinking: str = "", waiting: str = "") -> None:
            seen.append((text, waiting))

    from ollama_nb.asking.request import Request
    from ollama_nb.asking.streaming import ask

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = ask(
            Request("generate", "other", {"prompt": "one two"}), Screen("other", lambda *_: 1)
        )

    assert answer == "one two "
    assert seen[:3] == [
        ("", "number 1 in the queue"),
        ("", "reading the prompt, 1 of 2 tokens"),
        ("one ", ""),
    ]
    assert [str(warning.message) for warning in caught] == ["be careful"]
    assert answer.stats.first_token_s is not None
