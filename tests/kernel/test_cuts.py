"""Answers and prompts that were cut, of the bundled model: told in cells, `.warnings` and Chat."""

from __future__ import annotations

import pytest
from cells import Cells, eventually, kernel_environ
from page import Page

import ollama_nb
from ollama_nb.errors import ServerWarning

CUT = "the answer was cut after 4 tokens, by num_predict=4; raise it for more"
# The bundled model does not end of itself this early.
SHORT = {"num_predict": 4, "temperature": 0, "seed": 1}
LONG = "word " * 400


@pytest.fixture(scope="module")
def real(ollama_server, tmp_path_factory):
    kernel = Cells(kernel_environ(ollama_server.url, tmp_path_factory.mktemp("home")))
    yield kernel
    kernel.close()


@pytest.fixture
def connection(ollama_server):
    return ollama_nb.connect(ollama_server.url)


@pytest.mark.parametrize("watched", [True, False])
def test_a_cell_tells_that_its_answer_was_cut(real, watched):
    run = real.run(
        "%generate -m demo -t 0 -o seed=1 -o num_predict=4 What is a notebook? -> short",
        watched=watched,
    )

    assert run.text.endswith(f"\n\n({CUT})")
    assert run.saved[0]["text/markdown"].endswith(f"\n\n*({CUT})*")
    assert CUT not in real.run("str(short)").result
    assert CUT in real.run("short.warnings").result


def test_an_answer_that_is_whole_has_no_remark(connection):
    answer = ollama_nb.generate("What is a notebook?", model="demo", temperature=0, seed=7)

    assert (answer.done_reason, answer.cut, answer.warnings) == ("stop", "", ())


def test_a_program_is_not_warned_of_the_limit_that_it_set(connection):
    answer = ollama_nb.chat("What is a notebook?", model="demo", options=SHORT)

    assert answer.warnings == (CUT,)  # and warnings are errors in these tests


def test_a_terminal_tells_it_below(connection, capsys):
    answer = ollama_nb.generate("What is a notebook?", model="demo", options=SHORT, show=True)

    assert capsys.readouterr().out == f"{answer.text}\n({CUT})\n"


def test_a_prompt_that_was_cut_is_told_with_its_tokens(connection):
    options = {**SHORT, "num_ctx": 128}

    with pytest.warns(ServerWarning, match=r"the first .* of 4\d\d tokens|of 4\d\d tokens"):
        answer = ollama_nb.generate(LONG, model="demo", options=options)

    assert answer.stats.truncated_tokens > 0
    assert len(answer.warnings) == 2


def test_a_chat_shows_both_below_the_answer(connection):
    talk = ollama_nb.Chat("demo", options={**SHORT, "num_ctx": 128})
    page = Page(talk)

    for number in (1, 2):  # by the second, the first does not fit any more
        talk.send("word " * 70)
        eventually(lambda n=number: len(talk.messages) == 2 * n or talk.error, "an answer")
        eventually(lambda: not talk.busy, "the end")
    talk.close()

    assert talk.error == ""
    first, second = (turn["html"] for turn in page.turns)
    assert first.endswith(f"<p><em>({CUT})</em></p>\n")
    assert f"<em>({CUT})</em>" in second
    assert "messages were left out, for a context of 128 tokens" in second
