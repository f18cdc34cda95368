from __future__ import annotations

import pytest

import ollama_nb
from ollama_nb.errors import NotText


def test_a_text_is_a_message_of_the_user(connected):
    answer = ollama_nb.chat("hello", system="Be brief.")

    assert connected.requests[-1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]
    assert answer.prompt == "hello"


def test_an_answer_s_messages_go_on_from_it(connected):
    first = ollama_nb.chat("hello")

    ollama_nb.chat([*first.messages, "and more"])

    roles = [message["role"] for message in connected.requests[-1]["messages"]]
    assert roles == ["user", "assistant", "user"]


def test_chat_itself_remembers_nothing(connected):
    ollama_nb.chat("one")
    ollama_nb.chat("two")

    assert len(connected.requests[-1]["messages"]) == 1


def test_a_conversation_remembers(connected):
    talk = ollama_nb.Conversation(system="Be brief.")

    talk.say("one")
    talk.say("two")

    said = [message["content"] for message in connected.requests[-1]["messages"]]
    assert said == ["Be brief.", "one", "one ", "two"]
    assert len(talk.messages) == 4


def test_a_failed_turn_is_not_remembered(connected):
    talk = ollama_nb.Conversation()

    with pytest.raises(ollama_nb.OllamaNbError):
        talk.say("one break")

    assert talk.messages == []


def test_a_reset_conversation_is_empty(connected):
    talk = ollama_nb.Conversation()
    talk.say("one")

    talk.reset()

    assert talk.messages == []


def test_a_message_s_content_must_be_text(connected):
    with pytest.raises(NotText, match="int"):
        ollama_nb.chat([{"role": "user", "content": 3}])
