"""Models whose config names one of Ollama's built-in renderers, over HTTP.

What each renderer writes is tested in tests/prompts/renderers; here: that it is asked, and for what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

ASKED = {"role": "user", "content": "Why?"}
NOW = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
GREEDY = {"temperature": 0, "num_predict": 1}
Make = Callable[..., str]


@pytest.fixture
def make(client: httpx.Client) -> Make:
    def made(name: str, **facts: object) -> str:
        body = {"model": name, "from": "demo", "stream": False} | facts
        client.post("/api/create", json=body).raise_for_status()
        return name

    return made


def rendered(client: httpx.Client, path: str, **body: Any) -> str:
    answer = client.post(f"/api/{path}", json=body | {"_debug_render_only": True})
    text: str = answer.raise_for_status().json()["_debug_info"]["rendered_template"]
    return text


def test_a_renderer_writes_chats_and_generate_s_prompts(client: httpx.Client, make: Make) -> None:
    history = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    name = make("glm", renderer="glm-4.7", system="S", messages=history, template="{{ .Prompt }}?")
    start = "[gMASK]<sop><|system|>S<|user|>q<|assistant|></think>a"

    chat = rendered(client, "chat", model=name, messages=[ASKED], think=False)
    generate = rendered(client, "generate", model=name, prompt="Why?", system="T")
    own = rendered(
        client, "generate", model=name, prompt="Why?", template="{{ .Prompt }}!", context=[]
    )

    assert chat == f"{start}<|user|>Why?<|assistant|></think>"
    assert generate == f"{start}<|user|>Why?<|assistant|><think>".replace("|>S<", "|>T<")
    assert own == "Why?!"


def test_a_renderer_is_given_tools_calls_and_thoughts(client: httpx.Client, make: Make) -> None:
    name = make("lagoon", renderer="poolside-v1", parser="poolside-v1")
    call = {"function": {"name": "now", "arguments": {"zone": "UTC", "exact": True}}}
    turns = [
        {"role": "system", "content": "S"},
        ASKED,
        {"role": "assistant", "content": "", "thinking": "T", "tool_calls": [call]},
        {"role": "tool", "content": "noon", "tool_name": "now"},
    ]

    text = rendered(client, "chat", model=name, messages=turns, tools=[NOW], think=True)

    assert '{"type": "function", "function": {"name": "now", "parameters": {' in text
    assert text.endswith(
        "<user>Why?</user>\n<assistant><think>T</think><tool_call>now"
        "<arg_key>zone</arg_key><arg_value>UTC</arg_value>"
        "<arg_key>exact</arg_key><arg_value>true</arg_value></tool_call></assistant>\n"
        "<tool_response>noon</tool_response>\n<assistant><think>"
    )


def test_the_oldest_turns_are_left_out(client: httpx.Client, make: Make) -> None:
    name = make("short", renderer="olmo3")
    turns = [{"role": "user", "content": f"{i} " + "far away " * 20} for i in range(9)]

    text = rendered(client, "chat", model=name, messages=turns, options={"num_ctx": 150})

    assert text.startswith("<|im_start|>system\nYou are a helpful function-calling AI assistant.")
    assert "user\n0 " not in text
    assert "user\n8 " in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a", "[img-0] a"),
        ("a [img] b", "a [img-0] b"),
        ("a [img-0] b", "a [img-0] b"),  # it says itself where
    ],
)
def test_images_have_their_places_as_the_renderer_wants_them(
    client: httpx.Client, make: Make, content: str, expected: str
) -> None:
    name = make("seer", renderer="qwen3-vl-instruct")
    seen = {"role": "user", "content": content, "images": ["iVBORw0KGgo="]}
    literal = {"role": "user", "content": "what is [img-0]?"}

    text = rendered(client, "chat", model=name, messages=[seen, literal])

    assert text.startswith(
        f"<|im_start|>user\n{expected}<|im_end|>\n<|im_start|>user\nwhat is [img-0]?"
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"), [("chat", {"messages": [ASKED]}), ("generate", {"prompt": "Why?"})]
)
def test_a_renderer_that_does_not_exist_is_refused_when_it_is_used(
    client: httpx.Client, make: Make, path: str, body: dict[str, Any], stream: bool
) -> None:
    name = make("nobody", renderer="zzz")

    answer = client.post(f"/api/{path}", json={"model": name, "stream": stream, **body})

    assert answer.status_code == 500
    assert answer.json()["error"] == 'unknown renderer "zzz"'


def test_a_conversation_that_a_family_does_not_take_is_refused(
    client: httpx.Client, make: Make
) -> None:
    name = make("strict", renderer="qwen3.8")
    body = {"model": name, "messages": [{"role": "assistant", "content": "a"}], "stream": False}

    answer = client.post("/api/chat", json=body)

    assert answer.status_code == 500
    assert answer.json()["error"] == "no user query found in messages"


@pytest.mark.parametrize(("name", "has_block"), [("g4-26b", True), ("g4-e4b", False)])
def test_gemma_4_is_rendered_by_its_size(
    client: httpx.Client, make: Make, name: str, has_block: bool
) -> None:
    make(name, renderer="gemma4")

    text = rendered(client, "chat", model=name, messages=[ASKED])

    assert text.endswith("<|channel>thought\n<channel|>") == has_block


def test_the_first_token_s_text_is_shown_but_not_read_twice(
    client: httpx.Client, make: Make, pieces_gguf: Path
) -> None:
    data = pieces_gguf.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    client.post(f"/api/blobs/{digest}", content=data).raise_for_status()
    files = {"files": {"pieces.gguf": digest}, "from": None}
    named = make("begins", renderer="lfm2", **files)
    typed = make("begins-typed", template="<bos>{{ .Prompt }}", **files)
    bare = make("begins-bare", template="{{ .Prompt }}", **files)

    def count(model: str, path: str, **body: Any) -> int:
        sent = {"model": model, "stream": False, "options": GREEDY, **body}
        counted: int = client.post(f"/api/{path}", json=sent).json()["prompt_eval_count"]
        return counted

    shown = rendered(client, "chat", model=named, messages=[ASKED])
    read = shown.removeprefix("<|startoftext|>")

    assert read != shown
    assert count(named, "chat", messages=[ASKED]) == count(bare, "generate", prompt=read, raw=True)
    assert count(named, "generate", prompt="Why?") == count(bare, "generate", prompt=read, raw=True)
    assert count(typed, "generate", prompt="Why?") == count(bare, "generate", prompt="Why?")
    assert count(bare, "generate", prompt=shown, raw=True) > count(named, "chat", messages=[ASKED])


def test_a_parser_alone_makes_the_go_template_count(client: httpx.Client, make: Make) -> None:
    bare = make("parsed", parser="passthrough")
    templated = make("parsed-go", parser="passthrough", template="Q: {{ .Prompt }} A:")

    assert rendered(client, "chat", model=bare, messages=[ASKED]) == "Why?"
    assert rendered(client, "chat", model=templated, messages=[ASKED]) == "Q: Why? A:"


HARMONY = (
    "{{ range .Tools }}{{ .Function.Name }} {{ end }}{{ .ThinkLevel }}"
    "{{ range .Messages }}<|start|>{{ .Role }}<|message|>{{ .Content }}<|end|>{{ end }}"
    "<|start|>assistant"
)
HARMONY_ANSWER = (
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary"
    ' to=functions.get_it_2 <|constrain|>json<|message|>{"a": 1}'
)


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def test_gpt_oss_is_known_by_its_family_and_its_template(client: httpx.Client, make: Make) -> None:
    name = make("oss", template=HARMONY, info={"model_family": "gptoss"})
    tools = [named("get it"), named("get-it")]
    body: dict[str, Any] = {"model": name, "messages": [ASKED], "think": "max"}
    options = {"grammar": f"root ::= {json.dumps(HARMONY_ANSWER)}", **GREEDY, "num_predict": 400}

    chat = rendered(client, "chat", tools=tools, **body)
    generate = rendered(client, "generate", model=name, prompt="Why?", think="max")
    sent = {**body, "tools": tools, "options": options, "stream": False}
    said = client.post("/api/chat", json=sent).json()["message"]

    asked = "<|start|>user<|message|>Why?<|end|><|start|>assistant"
    assert chat == f"get_it get_it_2 high{asked}"
    assert generate == f"high{asked}"
    assert said["thinking"].endswith("hm")  # a thought before it is free of the grammar
    assert [call["function"]["name"] for call in said["tool_calls"]] == ["get-it"]


@pytest.mark.parametrize(
    "facts",
    [
        {"parser": "harmony"},
        {"parser": "passthrough", "info": {"model_family": "gptoss"}},
        {"parser": "qwen3.5"},
    ],
)
def test_only_what_speaks_harmony_is_given_its_names(
    client: httpx.Client, make: Make, facts: dict[str, Any]
) -> None:
    name = make("no-oss", template=HARMONY, **facts)

    text = rendered(client, "chat", model=name, messages=[ASKED], tools=[named("a-b")], think="max")

    assert text.startswith("a_b max<" if facts.get("parser") == "harmony" else "a-b ")
    assert ("high<" in text) == ("gptoss" in str(facts))


@pytest.mark.parametrize("family", ["qwen3-coder", "glm-4.7", "gemma4"])
def test_a_family_s_prompt_its_bound_call_and_its_result_go_round(
    client: httpx.Client, make: Make, family: str
) -> None:
    name = make("rounds", renderer=family, parser=family)
    days = {"type": "integer", "minimum": 1, "maximum": 9}
    schema = {"type": "object", "properties": {"days": days}, "required": ["days"]}
    tools = [{"type": "function", "function": {"name": "forecast", "parameters": schema}}]
    body = {"model": name, "tools": tools, "think": False, "stream": False}
    options = {"temperature": 0, "num_predict": 100}

    asked = {"messages": [ASKED], "tool_choice": "required", "options": options}
    said = client.post("/api/chat", json=body | asked).raise_for_status().json()["message"]
    result = {"role": "tool", "content": "sunny", "tool_call_id": said["tool_calls"][0]["id"]}
    text = rendered(client, "chat", **body, messages=[ASKED, said, result])

    (call,) = [call["function"] for call in said["tool_calls"]]
    assert call["name"] == "forecast"
    assert call["arguments"]["days"] in range(1, 10)
    assert text.index("Why?") < text.rindex("forecast") < text.index("sunny")
