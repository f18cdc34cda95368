from __future__ import annotations

import html
import re

import pytest
from cells import eventually
from nbconvert.filters import markdown2html

import ollama_nb


class Output:
    """Stands for the output of the cell and keeps the last thing shown in it."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def publish(self, bundle, _) -> int:
        self.shown.append(bundle["text/markdown"])
        return len(bundle["text/markdown"])


@pytest.fixture
def talk(connected):
    widget = ollama_nb.Chat()
    widget._output = Output()
    yield widget
    widget._entered = False
    widget.stop()
    eventually(lambda: not widget.busy, "the widget's thread ends")
    widget.close()


def _ask(talk, text):
    """Type and press Enter; the front end reports the Enter first and the text after it."""
    talk.box._handle_custom_msg({"event": "submit"}, [])
    talk.box.value = text


def test_enter_asks_and_the_answer_arrives(talk):
    _ask(talk, "one two")
    eventually(lambda: not talk.busy, "an answer")

    assert talk.messages == [
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": "one two "},
    ]
    assert talk.box.value == ""


def test_leaving_the_box_does_not_ask_but_enter_later_does(talk):
    talk.box.value = "one"  # what the front end reports when the box loses the focus
    assert not talk.busy

    talk.box._handle_custom_msg({"event": "submit"}, [])
    eventually(lambda: talk.messages, "an answer")

    assert talk.messages[0]["content"] == "one"


def test_the_send_button_does_the_same(talk):
    talk.box.value = "one"
    talk.send_button.click()
    eventually(lambda: talk.messages, "an answer")

    assert talk.messages[-1]["content"] == "one "


def test_the_transcript_grows_and_ends_as_static_text(talk):
    _ask(talk, "slowly one two three")
    eventually(lambda: not talk.busy, "an answer")

    assert any("waiting for the first word" in text for text in talk._output.shown)
    assert any(text.endswith("slowly one ") for text in talk._output.shown)
    quoted = "> ```text\n> slowly one two three\n> ```"
    assert talk._output.shown[-1] == f"{quoted}\n\nslowly one two three "


@pytest.mark.parametrize(
    "question",
    [
        '<b onclick="go()">bold</b>',
        "# no title\n* no list\n\n    indented = 'stays'",
        "```python\nprint(1)\n```\nand `````five`````",
        "~~~\nprice $a_1$ and $$b$$\n~~~",
    ],
)
def test_the_question_is_plain_text_whatever_it_holds(talk, question):
    _ask(talk, question)
    eventually(lambda: talk.messages and not talk.busy, "an answer")

    page = markdown2html(talk._output.shown[-1])

    quote = page.partition("<blockquote>")[2].partition("</blockquote>")[0]
    tags = set(re.findall(r"</?([a-z0-9]+)", quote))
    assert tags <= {"div", "pre", "code", "span"}
    assert html.unescape(re.sub("<[^>]+>", "", quote)).strip() == question


def test_the_second_question_carries_the_first(talk, connected):
    _ask(talk, "one")
    eventually(lambda: len(talk.messages) == 2, "the first answer")
    _ask(talk, "two")
    eventually(lambda: len(talk.messages) == 4, "the second answer")

    said = [message["content"] for message in connected.requests[-1]["messages"]]
    assert said == ["one", "one ", "two"]


def test_the_buttons_follow_the_work(talk):
    _ask(talk, "slowly a b c d")

    assert (talk.send_button.disabled, talk.stop_button.disabled) == (True, False)
    eventually(lambda: not talk.busy, "an answer")
    assert (talk.send_button.disabled, talk.stop_button.disabled) == (False, True)


def test_stop_keeps_what_has_come_and_closes_the_stream(talk, connected):
    _ask(talk, "slowly " + "word " * 300)
    eventually(lambda: "\n\nslowly word" in "".join(talk._output.shown), "the first words")

    talk.stop_button.click()

    eventually(lambda: not talk.busy, "the end", deadline_s=2)
    eventually(connected.left_early.is_set, "the server notices", deadline_s=5)
    assert talk.messages[-1]["content"].startswith("slowly word")
    assert talk._output.shown[-1].endswith("*(stopped)*")
    assert ollama_nb.stats()["done_reason"].tolist() == ["interrupted"]


def test_stop_works_before_the_first_word(talk, connected):
    _ask(talk, "hang")
    eventually(lambda: connected.requests, "the request arrives")

    talk.stop_button.click()

    eventually(lambda: not talk.busy, "the end", deadline_s=2)
    eventually(connected.left_early.is_set, "the server notices", deadline_s=5)
    assert talk.messages == []


def test_an_error_is_shown_and_the_next_question_works(talk):
    _ask(talk, "one break")
    eventually(lambda: talk.error, "an error")
    eventually(lambda: not talk.busy, "the end")

    assert "the model worker was killed" in talk._output.shown[-1]
    _ask(talk, "next")
    eventually(lambda: talk.messages, "an answer")
    assert talk.error == ""


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_box_asks_nothing(talk, text):
    _ask(talk, text)

    assert not talk.busy


def test_reset_forgets(talk):
    _ask(talk, "one")
    eventually(lambda: talk.messages and not talk.busy, "an answer")

    talk.reset()

    assert talk.messages == []
    assert talk._output.shown[-1] == ""


def test_its_repr_is_cheap(talk):
    assert repr(talk) == "Chat(model=None, turns=0)"


def test_in_a_cell_the_transcript_is_an_output_of_its_own(cells):
    run = cells.run("import ollama_nb; talk = ollama_nb.Chat(); talk", watched=True)

    assert [sorted(data) for data in run.saved] == [
        ["text/markdown", "text/plain"],
        ["application/vnd.jupyter.widget-view+json"],
    ]
