from __future__ import annotations

import pytest

from ollama_nb.magics.questions import protect_questions


@pytest.mark.parametrize(
    ("line", "call"),
    [
        (
            "%chat What is a DataFrame?\n",
            "get_ipython().run_line_magic('chat', 'What is a DataFrame?')\n",
        ),
        ("  %chat -t 0 it's?", "  get_ipython().run_line_magic('chat', \"-t 0 it's?\")\n"),
        ("a = %generate Who?\n", "a = get_ipython().run_line_magic('generate', 'Who?')\n"),
        ("%generate Really??", "get_ipython().run_line_magic('generate', 'Really??')\n"),
    ],
)
def test_a_prompt_may_end_with_a_question_mark(line, call):
    assert protect_questions([line]) == [call]


@pytest.mark.parametrize(
    "lines",
    [
        ["%chat?\n"],
        ["%generate??\n"],
        ["%chat What is a DataFrame? -> a\n"],
        ["%timeit x?\n"],
        ["df?\n"],
        ["%%chat\n", "%chat who?\n"],
        [],
    ],
)
def test_everything_else_stays(lines):
    assert protect_questions(lines) == lines


def test_a_question_in_a_real_kernel_is_asked_and_help_still_helps(cells):
    asked = cells.run("%chat one two?")
    helped = cells.run("%chat?")

    assert "one two?" in cells.run("_.prompt").result
    assert asked.contents("execute_result") or asked.saved
    assert not helped.contents("execute_result")
