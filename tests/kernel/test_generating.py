from __future__ import annotations

import pytest

import ollama_nb
from ollama_nb.errors import AnswerFailed, NotText, ServerWarning


def test_the_answer_and_its_facts(connected):
    answer = ollama_nb.generate("one two", seed=7, temperature=0)

    assert answer == "one two "
    assert (answer.model, answer.prompt) == ("other:latest", "one two")
    assert answer.stats.first_token_s <= answer.stats.total_s
    assert connected.requests[-1]["options"] == {"seed": 7, "temperature": 0}


def test_context_and_raw_are_sent_when_given(connected):
    ollama_nb.generate("one", context=[1, 2], raw=True, keep_alive="10m")

    body = connected.requests[-1]
    assert (body["context"], body["raw"], body["keep_alive"]) == ([1, 2], True, "10m")


def test_nothing_is_written_unless_asked(connected, capsys):
    ollama_nb.generate("one two")
    assert capsys.readouterr().out == ""

    ollama_nb.generate("one two", show=True)
    assert capsys.readouterr().out == "one two \n"


@pytest.mark.parametrize("prompt", [None, 3, ["a"]])
def test_a_prompt_must_be_text(connected, prompt):
    with pytest.raises(NotText, match="the prompt is"):
        ollama_nb.generate(prompt)


def test_what_the_server_warns_of_is_shown(connected):
    connected.warning = "mirostat has no effect here"

    with pytest.warns(ServerWarning, match="mirostat has no effect"):
        answer = ollama_nb.generate("one")

    assert answer.warnings == ("mirostat has no effect here",)


def test_an_error_in_the_stream_is_an_exception_not_an_answer(connected):
    with pytest.raises(AnswerFailed, match="other:latest did not answer: the model worker"):
        ollama_nb.generate("one break")


def test_a_server_that_does_not_speak_the_api_is_named(connected):
    with pytest.raises(AnswerFailed, match="does not speak Ollama's API"):
        ollama_nb.generate("nonsense", model="other")
