from __future__ import annotations

import html
import re
import time

import pytest
from cells import eventually
from nbconvert.filters import markdown2html
from page import Page

import ollama_nb


@pytest.fixture
def talk(connected):
    widget = ollama_nb.Chat()
    yield widget
    widget.stop()
    eventually(lambda: not widget.busy, "the widget's thread ends")
    widget.close()


@pytest.fixture
def page(talk):
    return Page(talk)


def _asked(talk, page, text):
    """Ask and wait for the answer; the turn as the page has it then."""
    assert page.ask(text)
    eventually(lambda: not talk.busy, "an answer")
    return page.turns[-1]


def test_a_question_is_asked_and_the_answer_arrives(talk, page):
    turn = _asked(talk, page, " one two\n")

    assert talk.messages == [
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": "one two "},
    ]
    assert turn == {"number": 0, "question": "one two", "html": "<p>one two</p>\n", "over": True}


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_box_asks_nothing(talk, page, text):
    assert not page.ask(text)
    assert not talk.busy


def test_a_question_is_not_taken_while_an_answer_is_on_its_way(talk, page, connected):
    page.ask("hang")
    eventually(lambda: connected.requests, "the request arrives")

    assert not page.ask("another")
    assert len(page.turns) == 1


def test_a_message_that_is_sent_again_is_taken_once(talk, page):
    for _ in range(2):
        page.tell("ask", id="1", text="one")
        eventually(lambda: not talk.busy, "an answer")

    assert len(page.of("heard")) == 2
    assert len(page.turns) == 1


def test_a_turn_grows_and_ends_as_what_is_kept(talk, page):
    _asked(talk, page, "slowly one two three")

    shown = [message["turn"]["html"] for message in page.of("turn")]
    assert any("waiting for the first word" in text for text in shown)
    assert "<p>slowly one</p>\n" in shown
    assert shown[-1] == "<p>slowly one two three</p>\n"


def test_a_page_that_is_loaded_again_has_the_whole_talk(talk, page):
    _asked(talk, page, "one")
    page.ask("slowly two three")
    eventually(lambda: "slowly two" in page.turns[-1]["html"], "the first words")

    again = Page(talk)  # from here on the old page hears nothing

    assert [turn["question"] for turn in again.turns] == ["one", "slowly two three"]
    eventually(lambda: not talk.busy, "the answer goes on")
    assert again.turns[-1] == {
        "number": 1,
        "question": "slowly two three",
        "html": "<p>slowly two three</p>\n",
        "over": True,
    }


def test_a_page_that_missed_the_end_while_it_was_drawn_is_told(talk, page):
    _asked(talk, page, "one")
    page.turns = []

    page.tell("ready")

    assert page.turns[-1]["over"]


def test_a_turn_sends_itself_alone_however_long_the_talk_is(talk, page):
    sizes = []
    for number in range(12):
        before = len(page.heard)
        _asked(talk, page, f"number {number:02} " + "word " * 50)
        sizes.append(max(len(str(message)) for message in page.heard[before:]))

    assert sizes[-1] <= sizes[0] + 5  # the digits of its number
    assert set(page.state) == {"busy", "model"}


def test_many_words_are_few_messages(talk, page):
    begin = time.monotonic()
    _asked(talk, page, "word " * 3000)

    num_updates = sum(not message["turn"]["over"] for message in page.of("turn"))
    assert num_updates <= 15 * (time.monotonic() - begin) + 3


@pytest.mark.parametrize(
    "question",
    [
        '<b onclick="go()">bold</b>',
        "# no title\n* no list\n\n    indented = 'stays'",
        "```python\nprint(1)\n```\nand `````five`````",
        "~~~\nprice $a_1$ and $$b$$\n~~~",
    ],
)
def test_the_question_is_plain_text_whatever_it_holds(talk, page, question):
    turn = _asked(talk, page, question)

    page.tell("copies", numbers=[0])
    (copy,) = page.of("copies")[-1]["copies"]
    for kept in (copy["data"]["text/html"], markdown2html(copy["data"]["text/markdown"])):
        quote = kept.partition("<blockquote>")[2].partition("</blockquote>")[0]
        tags = set(re.findall(r"</?([a-z0-9]+)", quote))
        assert tags <= {"div", "pre", "code", "span"}
        assert html.unescape(re.sub("<[^>]+>", "", quote)).strip() == question
    assert turn["question"] == question


def test_a_page_is_given_the_turns_that_its_notebook_lacks(talk, page):
    for text in ("one", "two", "three"):
        _asked(talk, page, text)

    page.tell("copies", numbers=[0, 2, 9])

    copies = page.of("copies")[-1]["copies"]
    assert [copy["metadata"]["ollama_nb"]["turn"] for copy in copies] == [0, 2]
    assert {copy["metadata"]["ollama_nb"]["talk"] for copy in copies} == {talk.talk}
    assert copies[1]["data"]["text/plain"] == "You: three\nother:latest: three "


def test_the_second_question_carries_the_first(talk, page, connected):
    _asked(talk, page, "one")
    _asked(talk, page, "two")

    said = [message["content"] for message in connected.requests[-1]["messages"]]
    assert said == ["one", "one ", "two"]


def test_the_page_knows_that_an_answer_is_on_its_way_and_the_model(talk, page):
    page.ask("slowly a b c d")

    assert page.state["busy"] is True
    eventually(lambda: not talk.busy, "an answer")
    assert page.state == {"busy": False, "model": "other:latest"}


def test_stop_keeps_what_has_come_and_closes_the_stream(talk, page, connected):
    page.ask("slowly " + "word " * 300)
    eventually(lambda: "slowly word" in page.turns[-1]["html"], "the first words")

    page.tell("stop")

    eventually(lambda: not talk.busy, "the end", deadline_s=2)
    eventually(connected.left_early.is_set, "the server notices", deadline_s=5)
    assert talk.messages[-1]["content"].startswith("slowly word")
    assert page.turns[-1]["html"].endswith("<p><em>(stopped)</em></p>\n")
    assert ollama_nb.stats()["done_reason"].tolist() == ["interrupted"]


def test_stop_works_before_the_first_word(talk, page, connected):
    page.ask("hang")
    eventually(lambda: connected.requests, "the request arrives")

    page.tell("stop")

    eventually(lambda: not talk.busy, "the end", deadline_s=2)
    eventually(connected.left_early.is_set, "the server notices", deadline_s=5)
    assert talk.messages == []
    assert "stopped before the first word" in page.turns[-1]["html"]


def test_stop_works_at_once(talk, page):
    talk.send("hang")
    talk.stop()

    eventually(lambda: not talk.busy, "the end", deadline_s=5)
    assert talk.messages == []


def test_an_answer_that_breaks_off_is_kept_with_the_error_below(talk, page):
    turn = _asked(talk, page, "one break")

    assert "the model worker was killed" in talk.error
    text, mark, error = turn["html"].strip().split("\n")
    assert (text, mark) == ("<p>one break</p>", "<p><em>(broke off)</em></p>")
    assert error == f"<p><strong>{talk.error}</strong></p>"
    assert talk.messages[-1] == {"role": "assistant", "content": "one break "}
    _asked(talk, page, "next")
    assert talk.error == ""
    assert len(page.turns) == 2


def test_a_question_that_fails_stays_with_the_error(talk, page, connected):
    talk._conversation.model = "nobody"

    turn = _asked(talk, page, "one")

    assert "the server has no model" in turn["html"]
    assert talk.messages == []


def test_a_thought_is_folded_above_the_answer(talk, page, connected):
    connected.script = [[{"thinking": "Two and <b>two</b>."}, {"content": "Four."}]]

    turn = _asked(talk, page, "sum")

    title = "<details><summary>thought (3 words)</summary>"
    said = '<pre><code class="language-text">Two and &lt;b&gt;two&lt;/b&gt;.\n</code></pre>'
    thought = f"{title}\n{said}\n</details>\n"
    assert turn["html"] == f"{thought}<p>Four.</p>\n"


def test_reset_forgets(talk, page):
    _asked(talk, page, "one")

    talk.reset()

    assert talk.messages == []
    assert page.turns == []
    assert talk.get_state()["turns"] == []
    assert _asked(talk, page, "two")["number"] == 1  # the copy of what is forgotten is another's


def test_reset_stops_an_answer_that_is_on_its_way(talk, page, connected):
    page.ask("hang")
    eventually(lambda: connected.requests, "the request arrives")

    talk.reset()

    assert not talk.busy
    assert page.turns == []
    assert _asked(talk, page, "one")["html"] == "<p>one</p>\n"


def test_its_repr_is_cheap(talk):
    assert repr(talk) == "Chat(model=None, turns=0)"
    assert repr(ollama_nb.Chat("demo")) == "Chat(model='demo', turns=0)"
