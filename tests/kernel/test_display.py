from __future__ import annotations

import threading

import pytest

from ollama_nb.answers.generation import Generation
from ollama_nb.display.screens import LiveCell, Nowhere, Terminal, screen


class Clock:
    """Seconds that pass when the test says so."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Output:
    """Records what is published."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.metadata: list[dict[str, object]] = []

    def __call__(self, bundle, metadata) -> int:
        self.texts.append(bundle["text/plain"])
        self.metadata.append(metadata)
        return sum(len(text.encode()) for text in bundle.values())


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def output():
    return Output()


@pytest.fixture
def live(output, clock):
    """A live cell whose ticker the tests turn by hand."""
    cell = LiveCell("demo", output, clock)
    yield cell
    cell.close()


def test_a_thousand_tokens_in_a_second_are_at_most_fifteen_updates(live, output, clock):
    for number in range(1000):
        clock.now_s = number / 1000
        live.update("x" * (number % 7 + 1))

    assert 13 <= len(output.texts) <= 16


def test_the_last_state_is_always_shown(live, output):
    live.update("one")
    live.update("one two")
    live.finish(Generation("one two three", model="demo", done_reason="stop"))

    assert output.texts[-1] == "one two three"
    assert output.metadata[-1] == {"ollama_nb": {"model": "demo", "done_reason": "stop"}}


def test_text_that_was_held_back_comes_with_the_next_tick(live, output, clock):
    live.update("one")
    live.update("one two")
    assert output.texts == ["one"]

    clock.now_s = 0.5
    live.tick()

    assert output.texts == ["one", "one two"]


def test_nothing_new_is_not_sent_again(live, output, clock):
    live.update("one")
    for clock.now_s in (1.0, 2.0, 3.0):
        live.tick()

    assert output.texts == ["one"]


def test_a_long_answer_is_sent_less_often(live, output, clock):
    for number in range(100):
        clock.now_s = number / 10
        live.update("x" * 200_000 + str(number))

    assert len(output.texts) == 3  # 400 kB each (two representations) in ten seconds


def test_waiting_is_counted_in_seconds(live, output, clock):
    live.open()
    clock.now_s = 2.2
    live.tick()

    assert output.texts[0] == "*demo: waiting for the first word, 0 s*"
    assert "*demo: waiting for the first word, 2 s*" in output.texts


def test_thoughts_pass_by_until_the_answer_begins(live, output, clock):
    live.open()
    for second, (text, thinking) in enumerate(
        [("", "One.\n"), ("", "One.\nTwo `x`.\n\nThree.\nFour. " + "y" * 200), ("Yes", "One.")], 1
    ):
        clock.now_s = second
        live.update(text, thinking)

    assert output.texts[1:] == [
        "*demo: thinking, 1 s*\n\n```\nOne.\n```",
        "*demo: thinking, 2 s*\n\n```\nTwo `x`.\nThree.\n" + "y" * 100 + "\n```",
        "*thought (1 word)*\n\nYes",
    ]


def test_a_call_that_never_finished_leaves_no_waiting_line(live, output):
    live.open()
    live.close()

    assert output.texts[-1] == "*demo: no answer*"


def test_no_update_follows_the_final_one(live, output, clock):
    live.update("one")
    live.update("one two")
    live.finish(Generation("all"))
    clock.now_s = 9.0
    live.tick()

    assert output.texts[-1] == "all"


def test_the_ticker_ends_with_the_answer(live):
    live.open()
    live.finish(Generation("all"))

    for thread in threading.enumerate():
        if thread.name == "ollama_nb-display":
            thread.join(timeout=5)
    assert "ollama_nb-display" not in [thread.name for thread in threading.enumerate()]


def test_a_terminal_gets_each_word_once():
    written: list[str] = []
    terminal = Terminal(written.append)

    terminal.update("one ")
    terminal.update("one two")
    terminal.finish(Generation("one two"))

    assert "".join(written) == "one two\n"


def test_a_call_that_is_not_to_be_shown_is_shown_nowhere():
    assert type(screen("demo", visible=False)) is Nowhere


def test_plain_python_is_a_terminal():
    assert isinstance(screen("demo"), Terminal)
