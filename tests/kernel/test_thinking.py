"""`think`, `think_budget`, and thoughts on their way into a cell."""

from __future__ import annotations

import numpy as np
import pytest

import ollama_nb
from ollama_nb.answers.generation import Generation
from ollama_nb.asking.thinking import Thinking, from_word, thinking_of
from ollama_nb.display.screens import Terminal
from ollama_nb.errors import BadThinking, ServerWarning


@pytest.mark.parametrize(
    ("think", "budget", "wish"),
    [
        (None, None, Thinking()),
        (True, None, Thinking(True)),
        (False, None, Thinking(False)),
        ("low", None, Thinking("low")),
        ("max", None, Thinking("max")),
        (None, 0, Thinking(True, 0)),
        (True, 20, Thinking(True, 20)),
        ("high", 20, Thinking("high", 20)),
        (None, np.int64(20), Thinking(True, 20)),
    ],
)
def test_what_a_call_may_ask_for(think, budget, wish):
    assert thinking_of(think, budget) == wish


@pytest.mark.parametrize(
    ("think", "budget", "words"),
    [
        ("hard", None, "one of low, medium, high, max, not 'hard'"),
        (200, None, "a number of tokens goes into think_budget"),
        (1.5, None, "not 1.5"),
        (None, -1, "a number of tokens from 0, not -1"),
        (None, "20", "not '20'"),
        (None, True, "not True"),
        (False, 20, "leave think=False out"),
    ],
)
def test_what_it_may_not(think, budget, words):
    with pytest.raises(BadThinking, match=words):
        thinking_of(think, budget)


@pytest.mark.parametrize("ask", [ollama_nb.generate, ollama_nb.chat])
def test_the_wish_is_sent_and_by_default_there_is_none(connected, ask):
    ask("one", think="low")
    ask("one", think=False)
    ask("one")

    assert [body.get("think") for body in connected.requests] == ["low", False, None]
    assert not any("think_budget" in body for body in connected.requests)


@pytest.mark.parametrize("ask", [ollama_nb.generate, ollama_nb.chat])
def test_another_server_is_sent_no_budget_and_that_is_said(connected, ask):
    with pytest.warns(ServerWarning, match="think_budget=20 had no effect"):
        answer = ask("one", think_budget=20)

    assert connected.requests[-1]["think"] is True
    assert "think_budget" not in connected.requests[-1]
    assert len(answer.warnings) == 1


@pytest.mark.parametrize("ask", [ollama_nb.generate, ollama_nb.chat])
def test_a_server_that_knows_budgets_is_sent_one(other, ask):
    other.fields = "tool_choice, think_budget"
    ollama_nb.connect(other.url)

    answer = ask("one", think_budget=20)

    assert other.requests[-1]["think_budget"] == 20
    assert answer.warnings == ()


def test_a_bad_wish_asks_nobody(connected):
    with pytest.raises(BadThinking):
        ollama_nb.generate("one", think="hard")

    assert connected.requests == []


def test_thoughts_stay_in_the_conversation(connected):
    connected.script = [[{"thinking": "Two and "}, {"thinking": "two."}, {"content": "Four."}]]

    answer = ollama_nb.chat("2 + 2?")
    ollama_nb.chat([*answer.messages, "And 3?"])

    assert (answer.thinking, str(answer)) == ("Two and two.", "Four.")
    assert connected.requests[-1]["messages"][1] == {
        "role": "assistant",
        "content": "Four.",
        "thinking": "Two and two.",
    }


@pytest.mark.parametrize("word", ["", "hard", "-5", "1.5", "True", "٣"])
def test_a_word_that_is_no_wish(word):
    with pytest.raises(BadThinking, match="--think takes on, off, low"):
        from_word(word)


def test_a_thought_is_folded_above_the_answer():
    shown = Generation("Four.", thinking="\nTwo and two\nis four.\n").bundle()

    assert shown == {
        "text/html": "<details><summary>thought (5 words)</summary>\n"
        '<pre><code class="language-text">Two and two\nis four.\n</code></pre>\n</details>\n'
        "<p>Four.</p>\n",
        "text/markdown": "<details><summary>thought (5 words)</summary>\n\n"
        "```text\nTwo and two\nis four.\n```\n\n</details>\n\nFour.",
        "text/plain": "thought (5 words):\n| Two and two\n| is four.\n\nFour.",
    }


def test_an_answer_without_thoughts_is_shown_as_it_is():
    assert Generation("Four.", thinking=" \n").bundle()["text/markdown"] == "Four."


def test_no_thought_gets_out_of_its_fold():
    thought = "```\n</details>\n<script>alert(1)</script>\n````"

    shown = Generation("Four.", thinking=thought).bundle()["text/markdown"]

    assert f"\n`````text\n{thought}\n`````\n" in shown


def test_long_lines_of_thought_are_broken():
    shown = Generation("", thinking="word " * 100).bundle()["text/markdown"]

    assert max(map(len, shown.splitlines())) <= 88


def test_a_terminal_marks_thoughts():
    written: list[str] = []
    terminal = Terminal(written.append)

    for text, thinking in [("", "\n"), ("", "\nTwo\nand "), ("", "\nTwo\nand two.\n"), ("Fo", "")]:
        terminal.update(text, thinking or "\nTwo\nand two.\n")
    terminal.finish(Generation("Four.", thinking="\nTwo\nand two.\n"))

    assert "".join(written) == "| Two\n| and two.\n\nFour.\n"
