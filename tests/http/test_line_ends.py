"""Letters that some readers take for the end of a line, everywhere a model or a user can put them."""

from __future__ import annotations

import json

import httpx
import ollama
import pytest
from ollama_nb_server.wire.encoding import encoded

ENDS = "\u2028\u2029\x85"
EVERY_END = "\n\r\v\f\x1c\x1d\x1e" + ENDS  # of Python's `splitlines`
TEXT = f"one{ENDS[0]}two{ENDS[1]}three{ENDS[2]}four"
FORCED = {"grammar": f'root ::= "{TEXT}"', "num_predict": 60, "temperature": 0}
VERBS = [
    ("generate", {"prompt": "Hi"}, lambda part: part.response),
    ("chat", {"messages": [{"role": "user", "content": "Hi"}]}, lambda part: part.message.content),
]


def test_no_line_ends_within_a_document() -> None:
    line = encoded({EVERY_END: [EVERY_END, {"deeper": EVERY_END}]})

    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == {EVERY_END: [EVERY_END, {"deeper": EVERY_END}]}


def test_a_backslash_before_such_a_letter_stays_one() -> None:
    assert json.loads(encoded("\\" + ENDS)) == "\\" + ENDS


def test_what_no_text_should_hold_is_encoded_too() -> None:
    assert json.loads(encoded({"path": "a\udcff\u2028", "long": 2**70})) == {
        "path": "a\ufffd\u2028",
        "long": 2**70,
    }


@pytest.mark.parametrize(("verb", "fields", "text_of"), VERBS)
def test_the_official_client_reads_them(ollama_server, verb, fields, text_of) -> None:
    with ollama.Client(ollama_server.url, trust_env=False) as client:
        parts = list(getattr(client, verb)("demo", stream=True, options=FORCED, **fields))

    assert "".join(map(text_of, parts)) == TEXT


async def test_the_official_asynchronous_client_reads_them(ollama_server) -> None:
    async with ollama.AsyncClient(ollama_server.url, trust_env=False) as client:
        stream = await client.generate("demo", "Hi", stream=True, options=FORCED)
        text = "".join([part.response async for part in stream])

    assert text == TEXT


def test_they_come_through_in_top_logprobs(client) -> None:
    body = {
        "model": "demo",
        "prompt": "Hi",
        "options": FORCED,
        "logprobs": True,
        "top_logprobs": 20,
    }
    with client.stream("POST", "/api/generate", json=body) as response:
        chunks = [json.loads(line) for line in response.iter_lines()]
    tokens = [token["token"] for chunk in chunks for token in chunk.get("logprobs", ())]

    assert "".join(tokens) == TEXT


@pytest.mark.parametrize("path", ["show", "generate", "chat", "embed", "pull"])
def test_they_stand_in_no_error(client: httpx.Client, path: str) -> None:
    answer = client.post(f"/api/{path}", json={"model": f"a{ENDS}b", "input": "x"})

    assert answer.is_error
    assert len(answer.text.splitlines()) == 1
    assert answer.json()["error"]


def test_an_error_in_mid_stream_is_one_line(client: httpx.Client) -> None:
    body = {"model": f"registry.invalid:1/a{ENDS}b/c", "stream": True}
    with client.stream("POST", "/api/push", json=body) as response:
        documents = [json.loads(line) for line in response.iter_lines()]

    assert documents[0] == {"status": "retrieving manifest"}
    assert ENDS in documents[-1]["error"]
