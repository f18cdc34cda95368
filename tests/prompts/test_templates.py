from __future__ import annotations

import pytest
from ollama_nb_server.prompts.conversation import (
    Turn,
    kept_from,
    starting_points,
    with_model_turns,
)
from ollama_nb_server.prompts.errors import TwoAnswersBegun
from ollama_nb_server.prompts.templates import ChatTemplate

SYSTEM, ASK, SAY, AGAIN = (
    Turn("system", "S"),
    Turn("user", "U1"),
    Turn("assistant", "A1"),
    Turn("user", "U2"),
)
BRACKETS = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}"


def test_a_model_without_template_gets_chatml() -> None:
    text = ChatTemplate(None).render([SYSTEM, ASK])

    assert text == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU1<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_model_with_template_gets_its_own() -> None:
    assert ChatTemplate(BRACKETS).render([ASK, SAY, AGAIN]) == "[user:U1][assistant:A1][user:U2]"


def test_a_last_turn_of_the_assistant_is_gone_on_with() -> None:
    assert ChatTemplate(BRACKETS).render([ASK, SAY]) == "[user:U1]A1"


FIRST = "{% if messages[0]['role'] == 'system' %}[{{ messages[0].content }}]{% endif %}{{ messages[1:][-1].content }}|"


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([SAY], "|A1"),
        ([Turn("assistant", "")], "|"),
        ([SYSTEM], "[S]|"),
        ([SYSTEM, SAY], "[S]|A1"),
        ([ASK, SAY], "|A1"),
        ([ASK, AGAIN], "U2|"),
    ],
)
def test_a_template_may_ask_for_messages_that_are_not_there(turns: list[Turn], text: str) -> None:
    assert ChatTemplate(FIRST).render(turns) == text


def test_two_answers_cannot_both_be_gone_on_with() -> None:
    for source in (BRACKETS, None):
        with pytest.raises(TwoAnswersBegun, match="not with two"):
            ChatTemplate(source).render([ASK, SAY, SAY])
    assert ChatTemplate(BRACKETS).render([SAY, SAY, ASK]).endswith("[user:U1]")


def test_generate_without_template_is_the_bare_prompt() -> None:
    assert ChatTemplate(None).render_generate([SYSTEM, ASK]) == "U1"


def test_generate_with_template_uses_it() -> None:
    assert ChatTemplate(BRACKETS).render_generate([SYSTEM, ASK]) == "[system:S][user:U1]"


def test_thinking_reaches_the_template() -> None:
    template = ChatTemplate("{{ enable_thinking }} {{ reasoning_effort }}")

    assert template.render([ASK], think="high") == "True high"
    assert template.render([ASK], think=False) == "False "


def test_unset_thinking_is_not_defined() -> None:
    assert ChatTemplate("{{ enable_thinking is defined }}").render([ASK]) == "False"


def test_tool_turns_show_their_keys() -> None:
    template = ChatTemplate("{% for m in messages %}{{ m.name }}{{ m.tool_call_id }}{% endfor %}")

    assert template.render([Turn("tool", "7", tool_name="w", tool_call_id="c1")]) == "wc1"


def test_the_models_system_leads_unless_the_request_brings_one() -> None:
    assert with_model_turns("S", [SAY], [ASK]) == [Turn("system", "S"), SAY, ASK]
    assert with_model_turns("other", [SAY], [SYSTEM, ASK]) == [SAY, SYSTEM, ASK]


def test_shortened_conversations_drop_the_oldest_and_keep_system_and_last() -> None:
    turns = [SYSTEM, ASK, SAY, AGAIN]

    assert [kept_from(turns, first) for first in starting_points(turns)] == [
        [SYSTEM, ASK, SAY, AGAIN],
        [SYSTEM, SAY, AGAIN],
        [SYSTEM, AGAIN],
    ]


def test_neighbours_of_one_role_are_merged_without_a_template_too() -> None:
    assert ChatTemplate(None).render_generate([ASK, AGAIN, SAY]) == "U1\n\nU2A1"


def test_a_bos_that_the_tokenizer_adds_is_not_written_too() -> None:
    template = "{{ bos_token }}x"

    assert ChatTemplate(template, "<s>", adds_bos=True).render([ASK]) == "x"
    assert ChatTemplate(template, "<s>").render([ASK]) == "<s>x"


def test_another_template_serves_requests_with_tools() -> None:
    template = ChatTemplate("plain", tool_source="{{ tools | length }}")

    assert template.render([ASK], tools=[{"type": "function", "function": {"name": "f"}}]) == "1"
    assert template.render([ASK]) == "plain"
