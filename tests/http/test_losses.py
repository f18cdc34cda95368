"""What of a request the model does not read is told to whoever asked."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from ollama_nb_server.answering.chat import chat
from ollama_nb_server.answering.generate import generate
from ollama_nb_server.application import Application
from ollama_nb_server.environment import Settings
from ollama_nb_server.scheduling.context import NOBODY
from ollama_nb_server.wire.chat import ChatRequest
from ollama_nb_server.wire.generate import GenerateRequest

WARNINGS = "X-Ollama-Nb-Warnings"
OPTIONS = {"temperature": 0, "num_predict": 2, "num_ctx": 128}
LONG = "word " * 600
TURNS = [{"role": "system", "content": "Be brief."}] + [
    {"role": "user", "content": f"{n} " + "words " * 20} for n in range(20)
]
CHATML = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"


def asked(client: httpx.Client, path: str, **body: object) -> str:
    """The warnings of an answer."""
    stated = {"model": "demo", "stream": False, "options": OPTIONS} | body
    return client.post(f"/api/{path}", json=stated).raise_for_status().headers.get(WARNINGS, "")


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_that_was_cut_is_told(client, stream: bool) -> None:
    warning = asked(client, "generate", prompt=LONG, stream=stream)

    kept, before = map(int, re.findall(r"(\d+) of (\d+) tokens were kept", warning)[0])
    assert kept < 128 < before
    assert before > 600
    assert "raise num_ctx" in warning


def test_a_chat_that_was_cut_is_told_where_we_write_it_down(client) -> None:
    body = {"model": "cut-chat", "from": "demo", "template": CHATML, "stream": False}
    client.post("/api/create", json=body).raise_for_status()

    warning = asked(client, "chat", model="cut-chat", messages=[{"role": "user", "content": LONG}])

    assert "tokens were kept" in warning
    assert "messages" not in warning


@pytest.mark.parametrize("stream", [True, False])
def test_messages_that_were_left_out_are_told(client, stream: bool) -> None:
    warning = asked(client, "chat", messages=TURNS, stream=stream)

    dropped, before = map(int, re.findall(r"oldest (\d+) of (\d+) messages", warning)[0])
    assert before == len(TURNS)
    assert 10 < dropped < 20  # the system text and the last one stay


def test_whoever_only_looks_at_a_prompt_is_told_too(client) -> None:
    assert "messages were left out" in asked(
        client, "chat", messages=TURNS, _debug_render_only=True
    )


def test_nothing_is_told_where_all_is_read(client) -> None:
    assert asked(client, "generate", prompt="Hi") == ""
    assert asked(client, "chat", messages=TURNS[-1:]) == ""
    assert asked(client, "chat", messages=TURNS, options=OPTIONS | {"num_ctx": 4096}) == ""


async def last(answer: Any) -> Any:
    """The last chunk of a stream, none of those before it having figures."""
    chunks = [chunk async for chunk in answer.answers]
    assert all(chunk.truncated is None for chunk in chunks[:-1])
    return chunks[-1]


async def test_the_last_chunk_has_the_figures(tmp_path: Path) -> None:
    application = Application(replace(Settings.from_environ({}), models=tmp_path))
    app = await application.context()
    try:
        prompt = GenerateRequest(model="demo", prompt=LONG, options=OPTIONS)
        before, kept = (await last(await generate(app, prompt, NOBODY))).truncated
        turns = ChatRequest.model_validate({"model": "demo", "messages": TURNS, "options": OPTIONS})
        chunk = await last(await chat(app, turns, NOBODY))
    finally:
        await application.close()

    assert kept < 128 < 600 < before
    assert chunk.truncated is None
    assert 10 < chunk.num_turns_dropped < 20


def test_texts_whose_vectors_lack_their_ends_are_told(client) -> None:
    warning = asked(client, "embed", input=["a cat", LONG, LONG])

    count, kept, before = map(
        int, re.findall(r"^(\d+) of the texts .* (\d+) of (\d+) tokens were kept", warning)[0]
    )
    assert (count, kept) == (2, 2 * 128)
    assert before > 1200


def test_whole_texts_are_embedded_without_a_word(client) -> None:
    assert asked(client, "embed", input=["a cat", ""]) == ""
