from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import TemplateFailed, UnknownRenderer
from ollama_nb_server.prompts.renderers.families import FAMILIES
from ollama_nb_server.prompts.renderers.renderer import Renderer, leading_bos
from ollama_nb_server.prompts.renderers.sizes import renderer_of_size


def called(arguments: dict[str, Any]) -> Turn:
    function = {"name": "f", "arguments": arguments}
    return Turn("assistant", tool_calls=({"id": "a", "type": "function", "function": function},))


def offered(parameters: dict[str, Any]) -> dict[str, Any]:
    whole = {"type": "object", "properties": None, **parameters}
    return {"type": "function", "function": {"name": "f", "parameters": whole}}


def nested(depth: int, width: int = 1) -> list[Any]:
    value: list[Any] = [1] * width
    for _ in range(depth):
        value = [value]
    return value


def test_a_renderer_that_does_not_exist_is_an_error_in_ollama_s_words() -> None:
    with pytest.raises(UnknownRenderer) as caught:
        Renderer.of("zzz")

    assert str(caught.value) == 'unknown renderer "zzz"'
    assert leading_bos("zzz") == ""


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    ("turns", "tools"),
    [([called({"a": nested(300)})], []), ([Turn("user", "a")], [offered({"items": nested(300)})])],
    ids=["call", "tool"],
)
def test_a_value_that_is_nested_too_deeply_is_refused(
    name: str, turns: Sequence[Turn], tools: Sequence[dict[str, Any]]
) -> None:
    with pytest.raises(TemplateFailed, match="nests values too deeply"):
        Renderer.of(name).render([Turn("user", "q"), *turns], tools=tools)


def test_json_over_lines_is_refused_before_its_indents_are_made() -> None:
    tools = [offered({"items": nested(150, width=50_000)})]
    tracemalloc.start()

    with pytest.raises(TemplateFailed, match="too long a value"):
        Renderer.of("cogito").render([Turn("user", "q")], tools=tools)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 << 20  # the indents alone would be 30 MB


@pytest.mark.parametrize("name", ["gemma4", "functiongemma", "cohere", "glimmer"])
def test_thousands_of_results_in_a_row_are_no_trouble(name: str) -> None:
    results = [Turn("tool", "r", tool_call_id="a")] * 3_000

    text = Renderer.of(name).render([Turn("user", "q"), called({}), *results])

    assert text.count("r") > len(results)


def test_marks_in_a_content_pass_through_every_renderer() -> None:
    content = "\ue000a\uf8ffb\ue001"

    texts = [Renderer.of(name).render([Turn("user", content)]) for name in FAMILIES]

    assert all(content in text for text in texts)


@pytest.mark.parametrize(
    ("names", "size", "expected"),
    [
        (("gemma4:e4b",), "31B", "small"),
        (("mine", "registry.ollama.ai/library/Gemma-E2B:latest"), "31B", "small"),
        (("gemma4:26b",), "1B", "large"),
        (("x-e2b-31b",), "", "small"),
        (("x", "y/12B"), "", "large"),
        (("mine",), "12.0B", "large"),
        (("mine",), "11.9B", "small"),
        (("mine",), "12000M", "large"),
        (("mine",), "12000m", "large"),
        (("mine",), "12000K", "small"),
        (("mine",), "12", "small"),
        (("mine",), "xB", "small"),
        (("mine",), "", "small"),
    ],
)
def test_gemma_4_means_the_renderer_of_its_size(
    names: tuple[str, ...], size: str, expected: str
) -> None:
    assert renderer_of_size("gemma4", names, size) == f"gemma4-{expected}"


def test_all_other_names_stand_for_themselves() -> None:
    assert renderer_of_size("gemma4-small", ("gemma4:31b",), "31B") == "gemma4-small"
    assert renderer_of_size("qwen3.5", ("e2b",), "31B") == "qwen3.5"
