"""Answers, streams and errors of a real server with the bundled model."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

GREEDY = {"temperature": 0, "seed": 1, "num_predict": 24}
LONG = {"temperature": 1.5, "seed": 1, "num_predict": 1500, "top_p": 1.0, "top_k": 0}
PROMPT = "Write a story about a fox."


def generate(client: httpx.Client, **fields: object) -> httpx.Response:
    body = {"model": "demo", "prompt": PROMPT, "options": GREEDY, "stream": False}
    return client.post("/api/generate", json=body | fields)


def lines(response: httpx.Response) -> list[dict]:
    return [json.loads(line) for line in response.iter_lines()]


def wait_until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stream_is_the_same_text_as_a_whole_answer(client) -> None:
    chunks = lines(generate(client, stream=True))
    whole = generate(client).json()

    assert "".join(chunk["response"] for chunk in chunks) == whole["response"]
    assert [chunk["done"] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert list(chunks[0]) == ["model", "created_at", "response", "done"]


def test_a_whole_answer_has_its_figures(client) -> None:
    answer = generate(client).json()

    assert answer["eval_count"] <= 24
    assert answer["total_duration"] >= answer["load_duration"] > 0
    assert answer["prompt_eval_count"] > 5


def test_context_goes_on_with_a_conversation(client) -> None:
    first = generate(client).json()
    second = generate(client, prompt="And then?", context=first["context"]).json()

    assert len(second["context"]) > len(first["context"])


def test_many_at_once_answer_as_alone(client, ollama_server) -> None:
    prompts = [f"Write a story about a {hero}." for hero in ("fox", "robot", "cat", "king", "bee")]
    alone = [generate(client, prompt=p).json()["response"] for p in prompts]
    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(lambda p: generate(client, prompt=p).json()["response"], prompts))

    assert together == alone


def test_chat_answers_in_the_assistants_words(client) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}], "options": GREEDY}
    chunks = lines(client.post("/api/chat", json=body))

    assert all(chunk["message"]["role"] == "assistant" for chunk in chunks)
    assert "".join(chunk["message"]["content"] for chunk in chunks)


def test_the_least_context_is_for_vectors_as_asked_and_for_answers_what_they_need(client) -> None:
    options = {"num_ctx": 1, "num_predict": 1}
    texts = {"model": "demo", "input": "a cat sat on a mat", "options": options}
    question = {"model": "demo", "prompt": "a cat", "raw": True, "stream": False}

    assert client.post("/api/embed", json=texts).json()["prompt_eval_count"] == 1
    answer = client.post("/api/generate", json=question | {"options": options, "truncate": False})
    assert answer.status_code == 200


def test_a_chat_model_embeds_by_its_mean_hidden_state(client) -> None:
    body = {"model": "demo", "input": ["a cat", "a dog", "a cat"]}
    answer = client.post("/api/embed", json=body).json()
    one, two, three = answer["embeddings"]

    assert sum(x * x for x in one) == pytest.approx(1, abs=1e-4)
    assert one == pytest.approx(three, abs=1e-3)
    assert one != pytest.approx(two, abs=1e-3)


def leave_while_it_streams(client: httpx.Client) -> None:
    body = {"model": "demo", "prompt": PROMPT, "options": LONG}
    with client.stream("POST", "/api/generate", json=body) as response:
        next(response.iter_lines())


def leave_before_the_first_token(client: httpx.Client) -> None:
    body = {"model": "demo", "prompt": PROMPT * 150, "options": LONG, "stream": False}
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/generate", json=body, timeout=0.02)


@pytest.mark.parametrize("leave", [leave_while_it_streams, leave_before_the_first_token])
def test_a_client_that_goes_away_stops_the_engine(start_server, leave) -> None:
    server = start_server(OLLAMA_NUM_PARALLEL="1")
    with server.client() as client:
        generate(client)
        leave(client)
        (worker,) = server.workers()

        # The only slot is free: the next one is served at once, and then nothing computes.
        assert generate(client).is_success
        wait_until(lambda: worker.cpu_percent(0.2) < 20)


def test_a_killed_worker_is_an_error_line_and_the_next_request_works(start_server) -> None:
    server = start_server()
    with server.client() as client:
        generate(client)
        (worker,) = server.workers()  # looked for before: the answer may end while we look
        body = {"model": "demo", "prompt": PROMPT, "options": LONG}
        with client.stream("POST", "/api/generate", json=body) as response:
            stream = response.iter_lines()
            next(stream)
            worker.kill()
            last = json.loads(list(stream)[-1])
        assert "SIGKILL" in last["error"]
        assert generate(client).is_success


def test_a_worker_killed_before_it_says_anything_is_a_status(start_server) -> None:
    server = start_server()
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        generate(client)
        (worker,) = server.workers()
        os.kill(worker.pid, signal.SIGSTOP)
        waiting = pool.submit(generate, client)
        time.sleep(0.2)
        worker.kill()
        answer = waiting.result()

    assert answer.status_code == 500
    assert "unexpectedly stopped" in answer.json()["error"]


def test_workers_end_with_a_killed_server(start_server) -> None:
    server = start_server()
    with server.client() as client:
        generate(client)
    workers = server.workers()
    server.process.kill()
    server.process.wait()

    _, left = psutil.wait_procs(workers, timeout=10)
    assert not left


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"model": "nope"}, 404, "model 'nope' not found"),
        ({"model": ""}, 404, "model '' not found"),
        ({"model": "a b"}, 400, "invalid model name"),
        ({"model": "../../etc/passwd"}, 400, "invalid model name"),
        ({"model": "x:cloud"}, 403, "ollama cloud is disabled: remote model is unavailable"),
        ({"options": {"temperature": "hot"}}, 500, 'option "temperature" must be of type float32'),
        ({"raw": True, "system": "x"}, 400, "raw mode does not support template, system, or context"),
        ({"format": "xml"}, 500, 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object'),
        ({"think": True}, 400, '"demo" does not support thinking'),
        ({"suffix": "x"}, 400, "registry.ollama.ai/library/demo:latest does not support insert"),
        ({"top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
        ({"shift": False, "prompt": "word " * 3000, "options": {"num_ctx": 64}}, 400, "the prompt is longer than"),
        ({"truncate": False, "prompt": "word " * 3000, "options": {"num_ctx": 64}}, 400, "exceeds the available context"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_wrong_has_its_status_and_sentence(
    client, fields, status, sentence, stream
) -> None:
    answer = generate(client, **fields, stream=stream)

    assert answer.status_code == status
    assert sentence in answer.json()["error"]
    assert generate(client).is_success


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nope", 404, None),
        ("GET", "/api/chat", 405, "POST"),
        ("DELETE", "/api/tags", 405, "GET, HEAD"),
        ("HEAD", "/api/ps", 405, "GET"),
        ("PUT", "/api/generate", 405, "POST"),
        ("GET", "/API/tags", 404, None),
        ("GET", "/api/tags/", 301, None),
        ("POST", "/api/generate/", 307, None),
        ("GET", "//api//tags", 307, None),
    ],
)
def test_routing(client, method: str, path: str, status: int, allow: str | None) -> None:
    answer = client.request(method, client.base_url.join("/").copy_with(raw_path=path.encode()))

    assert (answer.status_code, answer.headers.get("Allow")) == (status, allow)


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]
)
@pytest.mark.parametrize("server", ["ollama_server", "jupyter_server"])
def test_a_body_is_json_whatever_it_is_said_to_be(request, server: str, content_type: str) -> None:
    body = json.dumps(
        {"model": "demo", "prompt": "a&token=x&" * 2000, "stream": False, "options": GREEDY}
    )
    with request.getfixturevalue(server).client() as client:
        answer = client.post("/api/generate", content=body, headers={"Content-Type": content_type})

    assert answer.status_code == 200


@pytest.mark.parametrize("server", ["ollama_server", "jupyter_server"])
def test_a_blob_of_any_size_goes_straight_to_disk(request, server: str) -> None:
    host = request.getfixturevalue(server)
    piece, count = bytes(range(256)) * 4096, 700
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(piece)
    name = f"sha256:{digest.hexdigest()}"
    before = psutil.Process(host.process.pid).memory_info().rss
    with host.client() as client:
        assert client.head(f"/api/blobs/{name}").status_code == 404
        answer = client.post(f"/api/blobs/{name}", content=(piece for _ in range(count)))
        assert (answer.status_code, answer.content) == (201, b"")
        assert client.head(f"/api/blobs/{name}").status_code == 200
        assert client.post(f"/api/blobs/{name}", content=b"not read").status_code == 200

    assert psutil.Process(host.process.pid).memory_info().rss - before < 100 << 20


def test_wrong_blobs_are_refused(client) -> None:
    other = f"sha256:{'1' * 64}"

    refused = client.post(f"/api/blobs/{other}", content=b"x")
    true = hashlib.sha256(b"x").hexdigest()

    assert refused.status_code == 400
    assert refused.json()["error"] == f'digest mismatch, expected "{other}", got "sha256:{true}"'
    assert client.head(f"/api/blobs/sha256:{true}").status_code == 404, "nothing stays"
    for size in (1, 100_000) * 10:  # no reset of a connection that still sends
        assert client.post("/api/blobs/sha256:zz", content=b"x" * size).status_code == 400
    assert client.head("/api/blobs/..%2F..%2Fetc").status_code == 400


def test_models_are_made_shown_copied_and_deleted(client) -> None:
    made = lines(client.post("/api/create", json={"model": "made", "from": "demo", "system": "S"}))
    shown = client.post("/api/show", json={"model": "made"}).json()
    copied = client.post("/api/copy", json={"source": "made", "destination": "u/made2"})
    names = [model["name"] for model in client.get("/api/tags").json()["models"]]
    gone = [
        client.request("DELETE", "/api/delete", json={"model": m}).status_code
        for m in ("made", "u/made2", "made")
    ]

    assert made[-1] == {"status": "success"}
    assert (shown["system"], shown["details"]["parent_model"]) == ("S", "demo:latest")
    assert shown["model_info"]["general.architecture"] == "llama"
    assert copied.status_code == 200
    assert {"made:latest", "u/made2:latest", "demo:latest"} <= set(names)
    assert gone == [200, 200, 404]


def test_a_broken_upload_is_refused_and_nothing_is_left(
    client, tmp_path: Path, demo_gguf: Path
) -> None:
    cut = demo_gguf.read_bytes()[:100_000]
    digest = f"sha256:{hashlib.sha256(cut).hexdigest()}"
    client.post(f"/api/blobs/{digest}", content=cut)
    answer = client.post(
        "/api/create", json={"model": "cut", "files": {"a.gguf": digest}, "stream": False}
    )

    assert answer.status_code == 400
    assert "GGUF" in answer.json()["error"]
    assert client.post("/api/show", json={"model": "cut"}).status_code == 404


def test_load_and_unload(client) -> None:
    loaded = client.post("/api/generate", json={"model": "demo"}).json()
    names = [model["name"] for model in client.get("/api/ps").json()["models"]]
    unloaded = client.post("/api/generate", json={"model": "demo", "keep_alive": 0}).json()

    assert (loaded["done_reason"], unloaded["done_reason"]) == ("load", "unload")
    assert names == ["demo:latest"]
    wait_until(lambda: client.get("/api/ps").json()["models"] == [])


def test_mirostat_takes_effect(client) -> None:
    usual = {"seed": 5, "temperature": 1.2, "num_predict": 40}
    texts = {
        generate(client, options=usual | {"mirostat": m}).json()["response"] for m in (0, 1, 2)
    }

    assert len(texts) == 3


def test_num_predict_zero_says_nothing(client) -> None:
    answer = generate(client, options={"num_predict": 0}).json()

    assert (answer["response"], answer["done_reason"]) == ("", "length")


def test_a_port_in_use_is_one_clear_line(ollama_server, start_server) -> None:
    port = str(httpx.URL(ollama_server.url).port)

    with pytest.raises(AssertionError, match="cannot listen on"):
        start_server("--port", port)


@pytest.mark.parametrize("stream", [True, False])
def test_options_without_effect_are_told_in_a_header(client, stream: bool) -> None:
    options = GREEDY | {"tfs_z": 0.5, "bög\nus": True}
    answer = generate(client, options=options, stream=stream)

    assert "'tfs_z' has no effect" in answer.headers["X-Ollama-Nb-Warnings"]
    assert "X-Ollama-Nb-Warnings" not in generate(client, stream=stream).headers


def test_a_chat_that_is_too_long_loses_its_oldest_turns_only(client) -> None:
    turns = [{"role": "system", "content": "S."}]
    turns += [{"role": "user", "content": f"Question {i}. " * 9} for i in range(300)]
    body = {"model": "demo", "messages": turns, "_debug_render_only": True}
    prompt = client.post("/api/chat", json=body).json()["_debug_info"]["rendered_template"]

    assert "S." in prompt
    assert "Question 299." in prompt
    assert "Question 0." not in prompt
    assert len(prompt) > 5000, "no more is dropped than must be"
