"""What must not become special tokens does not, and leaves the tokens around it as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ollama_nb_server.engine.messages import LoadSpec, TextSegment
from ollama_nb_server.engine.native import SPECIAL, Model, NativeLog
from ollama_nb_server.engine.prompt import prompt_tokens
from ollama_nb_server.engine.special_tokens import SpecialTexts
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.literals import TextGuard
from ollama_nb_server.prompts.reserved import ReservedTexts
from ollama_nb_server.prompts.templates import CHATML, ChatTemplate

SEAM = "\ue123"
REAL = pytest.param("qwen_coder", marks=pytest.mark.real)
TEXTS = ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<tool_call>", "</tool_call>"]


@pytest.fixture(scope="module", params=["talker_gguf", "pieces_gguf", REAL])
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    opened = Model(LoadSpec(str(request.getfixturevalue(request.param))), NativeLog())
    yield opened
    opened.close()


def literal(text: str) -> list[TextSegment]:
    """A text in which every `<` is followed by a seam."""
    return [TextSegment(text.replace("<", "<" + SEAM), parse_special=False, seam=SEAM)]


def special(model: Model, tokens: list[int]) -> list[int]:
    return [token for token in tokens if model.attributes[token] & SPECIAL]


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_of_a_special_token_can_be_text(model: Model, text: str) -> None:
    whole = f"the {text}in the end"
    (parsed,) = special(model, model.tokenize(whole, add_special=False))

    tokens = prompt_tokens(model, literal(whole))

    assert special(model, tokens) == []
    assert model.token_text(parsed) == text
    assert model.detokenize(tokens).removeprefix(" ") == whole


def test_the_words_around_a_seam_keep_their_tokens(model: Model) -> None:
    text = "in the end <tool_call> the end in the \ue000 end"
    harmless = model.tokenize(text.replace("tool_call", "tool-call"), add_special=False)

    tokens = prompt_tokens(model, literal(text))

    before = model.tokenize("in the end", add_special=False)
    assert tokens[: len(before)] == harmless[: len(before)] == before
    assert tokens[-9:] == harmless[-9:]


def test_a_cut_at_special_tokens_changes_no_token(model: Model) -> None:
    whole = "<|im_start|>\n the end <|im_end|> \nin <b> the <|endoftext|>end"
    pieces = [
        TextSegment("<|im_start|>"),
        TextSegment("\n the end ", parse_special=False),
        TextSegment("<|im_end|>"),
        TextSegment(" \nin <b> the ", parse_special=False),
        TextSegment("<|endoftext|>end"),
    ]

    assert prompt_tokens(model, pieces) == model.tokenize(whole, add_special=False)


def test_a_literal_text_alone_begins_as_any_text(model: Model) -> None:
    assert prompt_tokens(model, literal("the end")) == model.tokenize("the end", add_special=False)
    assert prompt_tokens(model, literal("")) == []


def test_a_seam_that_becomes_part_of_a_token_cuts_all_the_same(model: Model) -> None:
    tokens = prompt_tokens(model, [TextSegment("in the end", parse_special=False, seam="n")])

    pieces = [model.tokenize(piece, add_special=False) for piece in ("i", " the e", "d")]
    assert tokens == [token for piece in pieces for token in piece]


@pytest.fixture(scope="module")
def guard(model: Model) -> TextGuard:
    told = SpecialTexts.of(model)
    return TextGuard(ReservedTexts(told.control, told.user_defined))


def conversation(model: Model, guard: TextGuard, content: str) -> list[int]:
    """The tokens of a question, as a server has them made."""
    prompt = guard.rendered(ChatTemplate(CHATML).render, [Turn("user", content)])
    pieces = guard.pieces(prompt)
    return prompt_tokens(model, [TextSegment(p.text, not p.literal, p.seam) for p in pieces])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*TEXTS, "in the end", " ", "\n", "<|im_", "<b>"]), max_size=6))
def test_a_question_has_its_template_s_special_tokens_only(
    model: Model, guard: TextGuard, parts: list[str]
) -> None:
    content = "".join(parts)

    tokens = conversation(model, guard, content)

    expected = special(model, conversation(model, guard, "in the end"))
    tags = [token for token in special(model, tokens) if model.token_text(token) != "<b>"]
    assert tags == expected
    assert "".join(content.split()) in "".join(model.detokenize(tokens).split())


@pytest.mark.parametrize("content", ["in the end", "<b> the\n\nend ", "a < b"])
def test_a_question_without_special_texts_has_the_tokens_of_its_text(
    model: Model, guard: TextGuard, content: str
) -> None:
    text = ChatTemplate(CHATML).render([Turn("user", content)])

    assert conversation(model, guard, content) == model.tokenize(text, add_special=False)


def test_special_texts_are_told_by_kind(model: Model) -> None:
    told = SpecialTexts.of(model)

    assert set(TEXTS[:3]) <= set(told.control)
    assert set(TEXTS[3:]) <= set(told.user_defined)
    assert told.num_left_out == 0


def test_of_too_many_special_texts_control_tokens_are_told(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SpecialTexts.of(model)
    room = sum(map(len, whole.control))
    monkeypatch.setattr("ollama_nb_server.engine.special_tokens.MAX_LETTERS", room + 3)

    told = SpecialTexts.of(model)

    assert (told.control, told.user_defined) == (whole.control, ())
    assert told.num_left_out == len(whole.user_defined)
