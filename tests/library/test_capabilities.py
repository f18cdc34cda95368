from __future__ import annotations

from pathlib import Path

import pytest
from ollama_nb_server.library.capabilities import capabilities, uses_jinja
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.manifest import Config

TOOLS_AND_THINKING = "{% if tools %}x{% endif %}<think></think>"
GO_TOOLS = "{{ .Tools }}"
GO_THINKING = "{{ range .Messages }}<think>{{ .Thinking }}</think>{{ end }}"
GO_TOOLS_AND_THINKING = GO_TOOLS + GO_THINKING
# Both write calls and the answers to them.
GO_ROUND_TRIP = '{{ .Tools }}{{ range .Messages }}{{ .ToolCalls }}{{ eq .Role "tool" }}{{ end }}'
JINJA_TOOLS = "{{ tools }}"
JINJA_ROUND_TRIP = "{{ tools }}{{ message.tool_calls }}{{ message.role == 'tool' }}"
SEES = GGUFMetadata(Path(), {"clip.has_vision_encoder": True})
HEARS = GGUFMetadata(Path(), {"clip.has_audio_encoder": True})
DEAF = GGUFMetadata(Path(), {"clip.has_audio_encoder": False})
GEMMA3N = GGUFMetadata(
    Path(), {"clip.has_audio_encoder": True, "clip.vision.projector_type": "gemma3nv"}
)


def header(architecture: str = "llama", jinja: str = "", **values: object) -> GGUFMetadata:
    named = {f"{architecture}.{key.replace('__', '.')}": value for key, value in values.items()}
    more = {"general.architecture": architecture, "tokenizer.chat_template": jinja}
    return GGUFMetadata(Path(), {**more, **named})


@pytest.mark.parametrize(
    ("config", "weights", "template", "projectors", "expected"),
    [
        (Config(), header(), None, [], "completion"),
        (Config(), header(pooling_type=1), None, [], "embedding"),
        (Config(), None, None, [], ""),
        (Config(capabilities=("tools", "completion")), header(), None, [], "tools completion"),
        (Config(), header(jinja=TOOLS_AND_THINKING), None, [], "tools thinking completion"),
        (Config(renderer="x"), header(jinja=TOOLS_AND_THINKING), None, [], "completion"),
        (Config(), header(), "{{ .Tools }}{{ .Suffix }}", [], "completion tools insert"),
        (Config(), None, "{{ .Suffix }}", [], "insert"),
        (Config(), header(), GO_THINKING, [], "completion thinking"),
        (Config(), header(), GO_TOOLS_AND_THINKING, [], "completion tools thinking"),
        (Config(), header(), "{{ .Thinking }}", [], "completion"),
        (Config(), header(), "the words .Tools and .Suffix", [], "completion"),
        (Config(), header(), "{{ $.Tools }}", [], "completion tools"),
        (Config(), header(), "{{ (index .Messages 0).Tools }}", [], "completion"),
        (Config(), header(), "{{ .Tools ", [], "completion"),
        (Config(), header(), "{{ json .Tools }}{{ currentDate }}", [], "completion tools"),
        (Config(renderer="x"), header(), GO_TOOLS, [], "completion tools"),
        (Config(), header(vision__block_count=1), None, [], "completion vision"),
        (Config(), header(audio__block_count=1), None, [], "completion audio"),
        (Config(), header(), None, [SEES], "completion vision"),
        (Config(), header(), None, [HEARS], "completion vision audio"),
        (Config(), header(), None, [DEAF], "completion vision"),
        (Config(), header(), None, [GEMMA3N], "completion vision"),
        (Config(), header(), None, [None], "completion vision"),
        (Config(), header("nemotron_h_omni"), None, [HEARS], "completion vision"),
        (Config(parser="qwen3-thinking"), header(), None, [], "completion tools thinking"),
        (Config(parser="olmo3-think"), header(), None, [], "completion thinking"),
        (Config(parser="passthrough"), header(), None, [], "completion"),
        (Config(model_family="gptoss"), header(), None, [], "completion thinking"),
    ],
)  # fmt: skip
def test_abilities_in_the_order_of_show(
    config: Config, weights, template: str | None, projectors: list, expected: str
) -> None:
    found = capabilities(config, weights, template=template, projectors=projectors)

    assert " ".join(found) == expected


@pytest.mark.parametrize(
    ("config", "template", "jinja", "expected"),
    [
        (Config(), None, "", True),
        (Config(), None, "x", True),
        (Config(parser="qwen3"), None, "x", False),
        (Config(), "{{ .Prompt }}", "", False),
        (Config(), "{{ .Prompt }}", TOOLS_AND_THINKING, True),
        (Config(), "{{ .Tools ", JINJA_TOOLS, True),
        (Config(), GO_TOOLS_AND_THINKING, TOOLS_AND_THINKING, False),
        (Config(), GO_TOOLS, TOOLS_AND_THINKING, True),
        (Config(), GO_ROUND_TRIP, TOOLS_AND_THINKING, False),
        (Config(), GO_ROUND_TRIP, JINJA_ROUND_TRIP + "<think></think>", True),
        (Config(), GO_TOOLS, JINJA_ROUND_TRIP, True),
        (Config(), GO_ROUND_TRIP, JINJA_ROUND_TRIP, False),
        (Config(), GO_TOOLS, JINJA_TOOLS, False),
        (Config(), GO_TOOLS, "{{ tools }}{{ message.role == 'tool' }}", False),
        (Config(), GO_TOOLS, "{{ tools }}{{ tool_calls }}{{ m['role'] == \"tool\" }}", True),
        (Config(), GO_TOOLS, "{{ tools }}{{ assistant_tool_call }}{{ ipython }}", True),
        (Config(), 'tools {{ .Tools }} eq .Role "tool"', JINJA_ROUND_TRIP, True),
        (Config(), GO_THINKING, "<think></think>{{ message.tool_response }}", False),
        (Config(model_family="gptoss"), "<|start|><|end|>", TOOLS_AND_THINKING, False),
        (Config(model_family="llama"), "<|start|><|end|>", TOOLS_AND_THINKING, True),
    ],
)
def test_which_template_runs(config: Config, template, jinja: str, expected: bool) -> None:
    assert uses_jinja(config, template, jinja) is expected


@pytest.mark.parametrize(
    ("config", "template", "go_template", "expected"),
    [
        (Config(), "{{ .Prompt }}", True, False),
        (Config(), "{{ .Prompt }}", False, True),
        (Config(), GO_ROUND_TRIP, False, True),
        (Config(), None, True, True),
        (Config(renderer="x"), GO_ROUND_TRIP, False, False),
        (Config(model_family="gptoss"), "<|start|><|end|>", False, False),
    ],
)
def test_the_environment_decides_which_template_runs(
    config: Config, template, go_template: bool, expected: bool
) -> None:
    assert uses_jinja(config, template, TOOLS_AND_THINKING, go_template=go_template) is expected


@pytest.mark.parametrize(
    ("config", "go_template", "expected"),
    [
        (Config(), None, "tools thinking completion"),
        (Config(), True, "completion insert"),
        (Config(), False, "tools thinking completion"),
        (Config(renderer="x"), None, "completion insert"),
        (Config(renderer="x"), False, "completion"),
    ],
)
def test_abilities_are_those_of_the_template_that_runs(
    config: Config, go_template: bool | None, expected: str
) -> None:
    weights = header(jinja=TOOLS_AND_THINKING)

    found = capabilities(config, weights, template="{{ .Suffix }}", go_template=go_template)

    assert " ".join(found) == expected
