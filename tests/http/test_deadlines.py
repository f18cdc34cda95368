"""A client says how long an answer is worth waiting for: then the request ends, wherever it is."""

from __future__ import annotations

import json

import httpx
import pytest

ENDLESS = {"num_predict": -1, "grammar": 'root ::= ([a-z ]{0,50} "\\n")+ "END"'}
TIMEOUT = "X-Ollama-Nb-Timeout"
BODY = {"model": "demo", "prompt": "Tell a story.", "options": ENDLESS}
CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "options": ENDLESS}


@pytest.mark.parametrize(("path", "body"), [("/api/generate", BODY), ("/api/chat", CHAT)])
def test_a_whole_answer_that_takes_too_long_is_an_error(client: httpx.Client, path, body) -> None:
    answer = client.post(path, json=body | {"stream": False}, headers={TIMEOUT: "0.3"})

    assert answer.status_code == 504
    assert answer.json() == {"error": f"the request was not done after the 0.3 s of its {TIMEOUT}"}


def test_a_stream_that_takes_too_long_ends_with_the_error(client: httpx.Client) -> None:
    answer = client.post("/api/generate", json=BODY, headers={TIMEOUT: "3"})

    *lines, last = answer.text.splitlines()
    assert not any(json.loads(line)["done"] for line in lines)
    assert json.loads(last)["error"].startswith("the request was not done after the 3 s")


def test_the_model_is_free_for_others_afterwards(client: httpx.Client) -> None:
    for _ in range(20):  # more than it has slots
        client.post("/api/generate", json=BODY | {"stream": False}, headers={TIMEOUT: "0.05"})

    short = BODY | {"stream": False, "options": {"num_predict": 2}}
    assert client.post("/api/generate", json=short).json()["done"]


def test_an_answer_in_time_is_an_answer(client: httpx.Client) -> None:
    short = BODY | {"stream": False, "options": {"num_predict": 2}}

    assert client.post("/api/generate", json=short, headers={TIMEOUT: "60"}).json()["done"]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", ""])
def test_what_is_no_number_of_seconds_is_refused(client: httpx.Client, seconds) -> None:
    answer = client.post("/api/generate", json=BODY, headers={TIMEOUT: seconds})

    assert answer.status_code == 400
    assert TIMEOUT in answer.json()["error"]
