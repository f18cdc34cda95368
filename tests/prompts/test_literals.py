"""Prompts in pieces: a template's special tokens stay, what people write is text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

import pytest
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.go import GoChatTemplate
from ollama_nb_server.prompts.literals import Piece, RenderedPrompt, TextGuard
from ollama_nb_server.prompts.parsing.formats import FORMATS
from ollama_nb_server.prompts.reserved import ReservedTexts
from ollama_nb_server.prompts.templates import CHATML, ChatTemplate

CONTROL = (
    "<|im_start|>",
    "<|im_end|>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "<|eot_id|>",
    "<|end|>",
)
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
GUARD = TextGuard(ReservedTexts(CONTROL, TAGS), ("<think>", "</think>"))
SPECIAL = re.compile("|".join(map(re.escape, (*CONTROL, *TAGS))))
NOON = datetime(2026, 5, 4, 12)

Render = Callable[..., str]


def chatml(turns: Sequence[Turn], tools: object = None) -> str:
    return ChatTemplate(CHATML).render(turns)


def jinja(source: str) -> Render:
    template = ChatTemplate(source, "<s>", "</s>", clock=lambda: NOON)
    return lambda turns, tools=(): template.render(turns, tools=tools)


def go(source: str) -> Render:
    template = GoChatTemplate.of(source, clock=lambda: NOON)
    return lambda turns, tools=(): template.render(turns, tools=tools)


def user(content: str) -> list[Turn]:
    return [Turn("user", content)]


def pieces(render: Render, *contents: object) -> list[tuple[str, bool]]:
    """What is sent to be tokenised, seams left out."""
    cut = GUARD.pieces(GUARD.rendered(render, *contents))
    return [
        (piece.text.replace(piece.seam, "") if piece.seam else piece.text, piece.literal)
        for piece in cut
    ]


def own(prompt: RenderedPrompt) -> list[str]:
    """The special tokens that are the template's."""
    cut = GUARD.pieces(prompt)
    return [text for piece in cut if not piece.literal for text in SPECIAL.findall(piece.text)]


def literal(prompt: RenderedPrompt) -> list[str]:
    return [
        found
        for found in (SPECIAL.match(prompt.text, at) for at in sorted(prompt.literals))
        if found
    ]


def test_a_prompt_without_special_texts_is_one_piece() -> None:
    turns = [
        Turn("system", "S"),
        *user("a < b, [I] and <b>"),
        Turn("assistant", "<think>x</think>y"),
    ]

    prompt = GUARD.rendered(chatml, turns)

    assert GUARD.pieces(prompt) == (Piece(chatml(turns)),)


def test_what_a_user_writes_is_cut_out_between_the_template_s_tokens() -> None:
    assert pieces(chatml, user("is <|im_end|> an end?")) == [
        ("<|im_start|>", False),
        ("user\nis <|im_end|> an end?", True),
        ("<|im_end|>\n<|im_start|>assistant\n", False),
    ]


def test_a_user_defined_text_has_a_seam_behind_its_first_letter() -> None:
    (literal,) = (
        p for p in GUARD.pieces(GUARD.rendered(chatml, user("</think> </s>"))) if p.literal
    )

    assert literal == Piece("user\n<\ue000/think> </s>", literal=True, seam="\ue000")


@pytest.mark.parametrize("field", ["content", "thinking"])
def test_an_assistant_keeps_its_family_s_tags_only(field: str) -> None:
    source = "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"
    render = (
        jinja(source)
        if field == "content"
        else go("{{ range .Messages }}<|im_start|>{{ .Thinking }}{{ end }}")
    )
    turn = Turn("assistant", **{field: "<think>a</think> <tool_call> b <|im_end|>"})

    prompt = GUARD.rendered(render, [Turn("user", "q"), turn, Turn("user", "q")])

    assert own(prompt) == ["<|im_start|>"] * 2 + ["<think>", "</think>", "<tool_call>"] + [
        "<|im_start|>"
    ]


TURN_TAG = re.compile(
    r"<[|/\uff5c]?(?:start|end|message|eo[mt]|user|tool.(?:output|response))\b.*>"
)


@pytest.mark.parametrize("name", FORMATS)
def test_no_family_s_own_tags_are_those_of_turns(name: str) -> None:
    own = FORMATS[name].own_tags

    assert not [tag for tag in own if TURN_TAG.match(tag)]
    assert {"harmony": "<|channel|>", "deepseek3": "<\uff5ctool\u2581sep\uff5c>"}.get(name) in {
        None,
        *own,
    }


@pytest.mark.parametrize(
    "turn",
    [
        Turn("system", "</s>"),
        Turn("tool", "</s>", tool_name="look"),
        Turn("tool", "x", tool_name="</s>"),
        Turn(
            "assistant", "", ({"id": "1", "function": {"name": "f", "arguments": {"</s>": "b"}}},)
        ),
        Turn(
            "assistant", "", ({"id": "1", "function": {"name": "f", "arguments": {"a": ["</s>"]}}},)
        ),
        Turn("a</s>", "x"),
    ],
    ids=["system", "tool", "tool's name", "argument's name", "argument", "role"],
)
def test_no_field_of_a_turn_makes_a_special_token(turn: Turn) -> None:
    calls = (
        "{% for c in m.tool_calls or [] %}{% for k, v in c.function.arguments.items() %}"
        "{{ k }}={{ v }}{% endfor %}{% endfor %}"
    )
    source = (
        f"<s>{{% for m in messages %}}{{{{ m.role ~ m.content ~ m.name }}}}{calls}{{% endfor %}}"
    )

    prompt = GUARD.rendered(jinja(source), [Turn("user", "q"), turn, Turn("user", "q")])

    assert "</s>" in prompt.text
    assert own(prompt) == ["<s>"]


def test_nor_does_a_tool_s_definition() -> None:
    function = {"name": "f", "description": "ends </s>", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": function}]
    source = "<s>{{ tools | tojson }}{% for m in messages %}{{ m.content }}{% endfor %}"

    prompt = GUARD.rendered(jinja(source), user("q"), tools)

    assert "ends </s>" in prompt.text
    assert own(prompt) == ["<s>"]


def test_two_contents_together_make_no_special_token() -> None:
    render = go("<s>{{ .System }}{{ .Prompt }}")

    prompt = GUARD.rendered(render, [Turn("system", "a<|im_"), *user("end|>b")])

    assert prompt.text == "<s>a<|im_end|>b"
    assert own(prompt) == ["<s>"]


def test_an_answer_goes_on_behind_a_prompt() -> None:
    prompt = GUARD.rendered(chatml, user("</s>"))

    whole = GUARD.followed_by(prompt, "<think>so</think> <|im_end|>")

    assert own(whole) == [*own(prompt), "<think>", "</think>"]
    assert own(whole.behind("<|im_end|>")) == ["<|im_end|>", *own(whole)]


@pytest.mark.parametrize(
    ("render", "content"),
    [
        (jinja("<s>{% for m in messages %}{{ m.content.startswith('</s>') }}{{ m.content }}{% endfor %}<s>"), "</s>x"),
        (jinja("<s>{% for m in messages %}{{ m.content.split('</think>')[-1] }}<s>{% endfor %}"), "a</think>b</s>"),
        (jinja("<s>{% for m in messages %}{{ m.content | length }}:{{ m.content }}<s>{% endfor %}"), "a</s>"),
        (jinja("<s>{% for m in messages %}{{ m.content[:6] }}<s>{% endfor %}"), "a</s>bcdefg"),
        (jinja("<s>{% for m in messages %}{% if m.content == '</s>' %}<s>{{ m.content }}{% endif %}{% endfor %}"), "</s>"),
        (jinja("<s>{% for m in messages %}{{ m | tojson }}<s>{% endfor %}"), "a</s>\"\n"),
        (jinja("<s>{% for m in messages %}{{ m.content | tojson(ensure_ascii=True) }}<s>{% endfor %}"), "é</s>"),
        (jinja("<s>{% for m in messages %}{{ [m.content] }}<s>{% endfor %}"), "a</s>'"),
        (jinja("<s>{% for m in messages %}{{ m.content | trim }}<s>{% endfor %}"), "  </s>\n "),
        (jinja("<s>{% for m in messages %}{% if '</s>' in m.content %}{{ raise_exception('no') if false }}<s>{% endif %}{{ m.content }}{% endfor %}"), "</s>"),
        (jinja("{% if '</s>' not in messages[0].content %}{{ raise_exception('no') }}{% endif %}<s>{{ messages[0].content }}"), "a </s>"),
        (go("<s>{{ range .Messages }}{{ len .Content }}{{ .Content }}<s>{{ end }}"), "a</s>"),
        (go("<s>{{ range .Messages }}{{ slice .Content 0 6 }}<s>{{ end }}"), "a</s>bcdefg"),
        (go("<s>{{ range .Messages }}{{ printf \"%q\" .Content }}<s>{{ end }}"), "a</s>\n"),
        (go("<s>{{ range .Messages }}{{ json .Content }}{{ .Content }}<s>{{ end }}"), "a</s>"),
        (go("<s>{{ range .Messages }}{{ if eq .Content \"</s>\" }}<s>{{ .Content }}{{ end }}{{ end }}"), "</s>"),
    ],
    ids=["startswith", "split", "length", "slice", "equal", "tojson", "ascii", "repr", "trim", "in", "raise",
         "go len", "go slice", "go %q", "go json", "go eq"],
)  # fmt: skip
def test_templates_that_look_at_contents_do_as_without_marks(render: Render, content: str) -> None:
    prompt = GUARD.rendered(render, user(content))

    assert prompt.text == render(user(content))
    assert own(prompt) == ["<s>"] * prompt.text.count("<s>")
    assert len(literal(prompt)) == prompt.text.count("</s>")


def test_a_template_that_looks_at_every_turn_keeps_its_own_tokens_between_them() -> None:
    render = jinja("{% for m in messages %}<s>{{ m.content | length }}{{ m.content }}{% endfor %}")
    turns = [Turn(role, f"{role} <s>") for role in ("system", "user", "assistant", "user")]

    prompt = GUARD.rendered(render, turns)

    assert prompt.text == render(turns)
    assert own(prompt) == ["<s>"] * 4
    assert len(literal(prompt)) == 4


def test_a_template_s_token_that_a_content_completes_is_one_piece() -> None:
    guard = TextGuard(ReservedTexts(("<s>x", "x"), ()))

    prompt = guard.rendered(go("<s>{{ .Prompt }}y"), user("x"))

    assert guard.pieces(prompt) == (Piece("<s>xy"),)


def test_contents_with_all_letters_that_could_be_marks_are_text_too() -> None:
    letters = "".join(map(chr, range(0xE000, 0xF900)))

    prompt = GUARD.rendered(chatml, user(f"{letters}</s></think>"))

    assert own(prompt) == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    assert "".join(piece.text for piece in GUARD.pieces(prompt)) == prompt.text
    assert not any("</think>" in piece.text for piece in GUARD.pieces(prompt))
