"""A chat template is given what llama-server gives it, in the shapes that it takes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import TemplateFailed
from ollama_nb_server.prompts.templates import ChatTemplate
from ollama_nb_server.prompts.traits import Traits, traits

OWN = Path(__file__).parent / "jinja"
REFUSES_SYSTEM = (OWN / "refusing.jinja").read_text("utf-8")
DROPS_SYSTEM = "{% for m in messages if m.role != 'system' %}[{{ m.content }}]{% endfor %}"
TYPED = "{% for m in messages %}{{ m.role }}{% for p in m.content %}{{ p.text }}{% endfor %};{% endfor %}"
EITHER = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}{% endfor %}"
CALLS = "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}<CALL>{% endfor %}{% endfor %}"
CONCATENATED = CALLS.replace("CALL", "{{ c.function.name + c.function.arguments }}")
PRINTED = CALLS.replace("CALL", "{{ c.function.arguments }}")
AS_JSON = CALLS.replace("CALL", "{{ c.function.arguments | tojson }}")
BY_KEY = CALLS.replace(
    "CALL", "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}"
)
WHOLE = "{% for m in messages %}{{ m | tojson }}{% endfor %}"
KEYS = "{% for m in messages %}{{ m.keys() | join(',') }};{% endfor %}"
# Opens a thought, closes it where thinking is off, or leaves it to the model.
OPENS = "{{ messages[0].content }}<answer>{% if enable_thinking is false %}<think></think>{% else %}<think>\n{% endif %}"
MAY_THINK = "{{ messages[0].content }}<answer>{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
ALWAYS = "{{ messages[0].content }}<answer><think>\n"

SYSTEM, USER = Turn("system", "S"), Turn("user", "U")
BEGUN = Turn("assistant", "Sev")
CALL = {
    "id": "",
    "type": "function",
    "function": {"name": "f", "arguments": {"b": "<é>", "a": 1}},
    "index": 1,
}
TOOL = {"type": "function", "function": {"name": "f", "strict": True}}
CALLING = [
    USER,
    Turn("assistant", "", tool_calls=(CALL,)),
    Turn("tool", "7", tool_name="f", tool_call_id="c"),
]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (REFUSES_SYSTEM, Traits(system_role=False)),
        (DROPS_SYSTEM, Traits(system_role=False)),
        (TYPED, Traits(typed_content=True)),
        (EITHER, Traits()),
        (CONCATENATED, Traits(text_arguments=True)),
        (PRINTED, Traits(text_arguments=True)),
        (AS_JSON, Traits()),
        (BY_KEY, Traits()),
        ("{{ raise_exception('never') }}", Traits()),
        ("{% broken", Traits()),
        ("", Traits()),
    ],
)
def test_a_template_is_tried_out(source: str, expected: Traits) -> None:
    assert traits(source) == expected


@pytest.mark.parametrize(
    ("source", "turns", "text"),
    [
        (DROPS_SYSTEM, [SYSTEM, USER], "[S\nU]"),
        (DROPS_SYSTEM, [SYSTEM, Turn("system", "T"), USER], "[S\nT\nU]"),
        (DROPS_SYSTEM, [USER, SYSTEM, Turn("tool", "r")], "[U][S\nr]"),
        (DROPS_SYSTEM, [SYSTEM], ""),
        (REFUSES_SYSTEM, [SYSTEM, USER], "<turn>user\nS\nU</turn>\n<turn>model\n"),
        (TYPED, [SYSTEM, USER], "systemS;userU;"),
        (CONCATENATED, CALLING, 'U<f{"b":"\\u003cé\\u003e","a":1}>7'),
        (PRINTED, CALLING, 'U<{"b":"\\u003cé\\u003e","a":1}>7'),
        (AS_JSON, CALLING, 'U<{"b": "<é>", "a": 1}>7'),
        (BY_KEY, CALLING, "U<b=<é>a=1>7"),
        (KEYS, CALLING, "role,content;role,content,tool_calls;role,content,name,tool_call_id;"),
        ("{{ messages[0].role }}", [Turn("developer", "D")], "system"),
        ("{{ messages[0].role }}{# <|channel|> #}", [Turn("developer", "D")], "developer"),
        (
            WHOLE,
            [Turn("assistant", "", tool_calls=(CALL | {"id": "c"},)), USER],
            '{"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": '
            '{"name": "f", "arguments": {"b": "<é>", "a": 1}}, "id": "c"}]}{"role": "user", "content": "U"}',
        ),
        (WHOLE, [Turn("assistant", "A", thinking="hm"), USER], '{"role": "assistant", "content": "A"}{"role": "user", "content": "U"}'),
    ],
)  # fmt: skip
def test_messages_come_in_the_shape_that_the_template_takes(
    source: str, turns: list[Turn], text: str
) -> None:
    assert ChatTemplate(source).render(turns) == text


@pytest.mark.parametrize(
    ("source", "think", "text"),
    [
        ("{{ tools is defined }} {{ documents is defined }}", None, "False False"),
        ("{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}", None, "<s></s>True"),
        ("{{ date_string }}|{{ datetime }}", None, "04 May 2026|May 04 2026"),
        ("{{ strftime_now('%Y-%m-%d') }}", None, "2026-05-04"),
        (
            "{{ reasoning_effort }} {{ reasoning_strength }} {{ enable_thinking }}",
            "low",
            "low low True",
        ),
        ("{{ reasoning_effort is defined }} {{ enable_thinking }}", True, "False True"),
    ],
)
def test_variables_are_those_of_llama_server(source: str, think: Any, text: str) -> None:
    template = ChatTemplate(source, "<s>", "</s>", clock=lambda: datetime(2026, 5, 4))

    assert template.render([USER], think=think) == text


@pytest.mark.parametrize(
    ("source", "think", "text"),
    [
        (OPENS, None, "U<answer><think></think>Sev"),
        (OPENS, True, "U<answer><think></think>Sev"),
        (OPENS, False, "U<answer><think></think>Sev"),
        (MAY_THINK, None, "U<answer><think>\n\n</think>\n\nSev"),
        (ALWAYS, True, "U<answer><think>\n\n</think>\n\nSev"),
        ("{{ messages[0].content }}<answer>", None, "U<answer>Sev"),
    ],
)
def test_an_answer_that_has_begun_is_past_thinking(source: str, think: Any, text: str) -> None:
    assert ChatTemplate(source).render([USER, BEGUN], think=think) == text


def test_an_empty_answer_may_still_be_thought_about() -> None:
    assert ChatTemplate(OPENS).render([USER, Turn("assistant", "")]) == "U<answer><think>\n"


def test_requests_with_tools_take_the_template_for_tools() -> None:
    template = ChatTemplate("plain", tool_source="{{ tools[0].function.name }}")

    assert template.render([USER]) == "plain"
    assert template.render([USER], tools=[TOOL]) == "f"
    assert ChatTemplate("plain").render([USER], tools=[TOOL]) == "plain"


def test_tools_always_have_a_description_and_parameters() -> None:
    text = ChatTemplate("{{ tools | tojson }}").render([USER], tools=[TOOL])

    assert text == (
        '[{"type": "function", "function": {"name": "f", "description": "", "parameters": {}}}]'
    )


def test_a_refusal_is_the_templates_own() -> None:
    with pytest.raises(TemplateFailed, match="roles must alternate"):
        ChatTemplate(REFUSES_SYSTEM).render([USER, USER])
