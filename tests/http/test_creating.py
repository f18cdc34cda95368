"""create over HTTP: today's form and that of 2023, what is refused, and what a cut leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.pruning import GRACE_S
from ollama_nb_server.library.store import Store

DEMO = {"model": "demo"}


@dataclass
class HalfWay:
    """A server, its open stream, the held process, and the store."""

    server: object
    answer: httpx.Response
    child: psutil.Process
    models: Path


@pytest.fixture
def made(client: httpx.Client) -> Iterator[Callable[..., httpx.Response]]:
    """Create a model called `made` (or `name`), not streaming; it is deleted afterwards."""

    def create(**fields: object) -> httpx.Response:
        return client.post("/api/create", json={"model": "made", "stream": False, **fields})

    client.post("/api/show", json=DEMO)
    yield create
    client.request("DELETE", "/api/delete", json={"model": "made"})


def shown(client: httpx.Client, model: str = "made") -> dict:
    return dict(client.post("/api/show", json={"model": model}).json())


def listed(client: httpx.Client, model: str = "made:latest") -> dict:
    return next(m for m in client.get("/api/tags").json()["models"] if m["name"] == model)


def uploaded(client: httpx.Client, data: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert client.post(f"/api/blobs/{digest}", content=data).status_code in (200, 201)
    return digest


def statuses(answer: httpx.Response) -> list[str]:
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return [line["status"] for line in lines if "digest" not in line]


def test_a_stream_tells_each_layer_and_the_end(client: httpx.Client, made: Callable) -> None:
    answer = made(**{"from": "demo"}, system="Be brief.", stream=True)

    assert answer.headers["content-type"] == "application/x-ndjson"
    first, second, *end = statuses(answer)
    assert first.startswith("using existing layer sha256:")
    assert second == f"creating new layer sha256:{hashlib.sha256(b'Be brief.').hexdigest()}"
    assert end == ["writing manifest", "success"]


def test_without_a_stream_only_the_end_is_told(made: Callable) -> None:
    answer = made(**{"from": "demo"})

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"status": "success"}


def test_everything_that_a_request_says_is_shown(client: httpx.Client, made: Callable) -> None:
    call = {"id": "call_1", "function": {"name": "f", "arguments": {"b": 1, "a": "x"}}}
    messages = [
        {"role": "User", "content": "hi"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "3", "tool_name": "f"},
    ]
    made(
        **{"from": "demo"},
        template="{{ .Prompt }}!",
        license=["A", "B"],
        parameters={"temperature": 1e-7, "stop": ["x", "<y>"], "num_ctx": 512},
        messages=messages,
        requires="0.14.0",
        info={"context_length": 77, "base_name": "base", "capabilities": ["tools"]},
    )
    facts = shown(client)

    assert facts["license"] == "A\nB"
    assert 'stop                           "<y>"' in facts["parameters"]
    assert "temperature                    1e-07" in facts["parameters"]
    assert [m["role"] for m in facts["messages"]] == ["user", "assistant", "tool"]
    assert facts["requires"] == "0.14.0"
    assert "tools" in facts["capabilities"]


OLD = '''# a comment
from demo
PARAMETER temperature 0.25
PARAMETER stop "<a>"
parameter stop b
SYSTEM """
You are "short".
So be it."""
MESSAGE user hi
MESSAGE assistant hello
LICENSE mine
'''


def test_the_form_of_2023_makes_the_same_model(client: httpx.Client, made: Callable) -> None:
    answer = made(model=None, name="made", modelfile=OLD)
    facts = shown(client)

    assert answer.json() == {"status": "success"}
    assert facts["system"] == '\nYou are "short".\nSo be it.'
    assert facts["parameters"].split() == ["stop", '"<a>"', "stop", '"b"', "temperature", "0.25"]
    assert [m["content"] for m in facts["messages"]] == ["hi", "hello"]
    assert facts["license"] == "mine"
    assert facts["details"]["parent_model"] == "demo:latest"


def test_both_forms_give_the_same_digest(client: httpx.Client, made: Callable) -> None:
    made(
        **{"from": "demo"},
        system='\nYou are "short".\nSo be it.',
        parameters={"temperature": 0.25, "stop": ["<a>", "b"]},
        messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
        license="mine",
    )
    of_fields = listed(client)["digest"]
    made(modelfile=OLD)

    assert listed(client)["digest"] == of_fields


def test_its_own_modelfile_makes_a_model_again(client: httpx.Client, made: Callable) -> None:
    made(modelfile=OLD)
    made(modelfile=shown(client)["modelfile"])  # its weights are rewritten once
    before = shown(client)
    made(modelfile=before["modelfile"])

    assert shown(client)["modelfile"] == before["modelfile"]


@pytest.mark.parametrize("source", ["@{digest}", "./weights.gguf", "weights.gguf"])
def test_a_modelfile_may_name_what_was_uploaded(
    client: httpx.Client, made: Callable, demo_gguf: Path, source: str
) -> None:
    digest = uploaded(client, demo_gguf.read_bytes())
    text = f"FROM {source.format(digest=digest)}\nSYSTEM Hi."

    answer = made(modelfile=text, files={"weights.gguf": digest})

    assert answer.json() == {"status": "success"}
    assert shown(client)["system"] == "Hi."


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/etc/hostname"},
        {"modelfile": "FROM /etc/hostname"},
        {"modelfile": "FROM ~/model.gguf"},
        {"modelfile": "FROM ../model.gguf"},
        {"modelfile": "FROM model.gguf"},
        {"modelfile": "FROM C:\\models\\model.gguf"},
        {"modelfile": "FROM demo\nADAPTER ./adapter.gguf"},
        {"modelfile": "FROM demo\nDRAFT ./small.gguf"},
    ],
)
def test_a_path_on_the_server_is_refused_with_what_to_do(made: Callable, fields: dict) -> None:
    answer = made(**fields)

    assert answer.status_code == 400
    assert "is a path on the server: upload the file" in answer.json()["error"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SYSTEM hi", "no FROM line"),
        ("", "no FROM line"),
        ("FROM demo\nFOO bar", '(line 2): command must be one of "from", "license", '),
        ("FROM demo\nMESSAGE tool hi", "message role must be one of"),
        ('FROM demo\nSYSTEM "open', "unexpected EOF"),
        ("FROM demo\n\nPARAMETER num_ctx 1.5", "(line 3): invalid int value [1.5]"),
        ("FROM demo\nPARAMETER foo 1", "(line 2): unknown parameter 'foo'"),
        ("FROM demo\nREQUIRES soon", "requires must be a valid semver (e.g. 0.14.0)"),
        ("FROM a b", "invalid model name"),
    ],
)
def test_a_wrong_modelfile_is_refused_with_its_line(made: Callable, text: str, error: str) -> None:
    answer = made(modelfile=text or "\n")

    assert answer.status_code == 400
    assert error in answer.json()["error"]


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({}, 400, "neither 'from' or 'files' was specified"),
        ({"model": "a b", "from": "demo"}, 400, "invalid model name"),
        ({"model": "", "from": "demo"}, 400, "invalid model name"),
        ({"from": "a b"}, 400, "invalid model name"),
        ({"files": {"../a.gguf": "sha256:x"}}, 400, "file path must be relative"),
        ({"files": {"a/../../b.gguf": "sha256:x"}}, 400, "file path must be relative"),
        ({"files": {"a.gguf": ""}}, 400, "invalid digest format"),
        ({"files": {}}, 400, "unknown type"),
        ({"from": "demo", "license": 5}, 500, "cannot unmarshal number into Go value of type []string"),
        ({"from": "demo", "info": {"context_length": "x"}}, 400, 'info field "context_length" must be a number'),
        ({"from": "demo", "info": {"context_length": -1}}, 400, "must be a non-negative integer"),
        ({"from": "demo", "info": {"base_name": 1}}, 400, 'info field "base_name" must be a string'),
        ({"from": "demo", "draft_quantize": "q8_0"}, 400, "--draft-quantize requires a DRAFT model"),
        ({"from": "demo", "quantize": "q4_0"}, 500, "unsupported quantization type Q4_0"),
        ({"from": "demo", "quantize": "q4_K_M"}, 500, "quantization is only supported for F16"),
        ({"from": "x:cloud"}, 403, "ollama cloud is disabled: remote model is unavailable"),
        ({"modelfile": "FROM x:cloud"}, 403, "ollama cloud is disabled: remote model is unavailable"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_in_ollamas_words(
    client: httpx.Client, made: Callable, fields: dict, status: int, error: str
) -> None:
    answer = made(**fields)

    assert (answer.status_code, error in answer.json()["error"]) == (status, True), answer.text
    assert client.post("/api/show", json={"model": "made"}).status_code == 404


def test_an_error_after_the_first_line_stands_in_the_stream(made: Callable) -> None:
    answer = made(files={"a.gguf": "sha256:xyz"}, stream=True)

    assert answer.status_code == 200
    assert [json.loads(line) for line in answer.text.splitlines()] == [
        {"status": "parsing GGUF"},
        {"error": "invalid digest format"},
    ]


def test_a_failed_create_keeps_the_model_of_that_name(client: httpx.Client, made: Callable) -> None:
    made(**{"from": "demo"}, system="First.")
    made(files={"a.gguf": uploaded(client, b"GGUF but not really")})

    assert shown(client)["system"] == "First."


@pytest.fixture
def half_way(
    start_server: Callable, full: Callable, tmp_path: Path, eventually: Callable
) -> Iterator[HalfWay]:
    """A server in the middle of a quantisation: the process that does it is held."""
    models = tmp_path / "models"
    server = start_server(OLLAMA_MODELS=str(models))
    with server.client() as client:
        kept = {"model": "kept", "from": "demo", "system": "Kept.", "stream": False}
        assert client.post("/api/create", json=kept).is_success
        files = {"m.gguf": uploaded(client, full(np.float16).read_bytes())}
        body = {"model": "made", "files": files, "quantize": "q4_K_M"}
        with client.stream("POST", "/api/create", json=body) as answer:
            lines = answer.iter_lines()  # kept: letting go of it would close the stream
            assert "parsing GGUF" in next(lines)
            child = eventually(
                lambda: quantizers(server.process.pid), "the process that quantises"
            )[0]
            child.suspend()
            yield HalfWay(server, answer, child, models)
    if child.is_running():
        child.kill()


def quantizers(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children(recursive=True)
    return [p for p in children if "ollama_nb_server.engine.requantize" in p.cmdline()]


def temporaries(models: Path) -> list[Path]:
    return [path for path in (models / "blobs").iterdir() if len(path.name) < 30]


def test_a_client_that_leaves_ends_the_work(half_way: HalfWay, eventually: Callable) -> None:
    half_way.answer.close()

    eventually(lambda: not half_way.child.is_running(), "the end of the process", 10)
    eventually(lambda: not temporaries(half_way.models), "the end of its file", 10)
    with half_way.server.client() as client:
        assert {m["name"] for m in client.get("/api/tags").json()["models"]} == {"kept:latest", "demo:latest"}  # fmt: skip


def test_a_killed_server_leaves_a_whole_store(
    half_way: HalfWay, start_server: Callable, eventually: Callable
) -> None:
    half_way.server.process.send_signal(signal.SIGKILL)
    half_way.server.process.wait()
    half_way.child.resume()
    eventually(lambda: not half_way.child.is_running(), "the end of its child", 20)

    server = start_server(OLLAMA_MODELS=str(half_way.models))
    with server.client() as client:
        assert {m["name"] for m in client.get("/api/tags").json()["models"]} == {"kept:latest", "demo:latest"}  # fmt: skip
        assert shown(client, "kept")["system"] == "Kept."
        asked = {"model": "kept", "prompt": "A", "stream": False, "options": {"num_predict": 3}}
        assert client.post("/api/generate", json=asked).json()["eval_count"] == 3
    Store(half_way.models).tidy(now=time.time() + 2 * GRACE_S)
    assert temporaries(half_way.models) == []


def test_a_store_that_cannot_be_written_says_so(start_server: Callable, tmp_path: Path) -> None:
    models = tmp_path / "models"
    Store(models).model(ModelName.parse("demo"))
    (models / "blobs").rename(tmp_path / "elsewhere")
    (models / "blobs").write_text("a file where the folder should be")
    with start_server(OLLAMA_MODELS=str(models)).client() as client:
        answer = client.post("/api/create", json={"model": "x", "from": "demo", "stream": False})

    assert answer.status_code >= 400
    assert answer.json()["error"]


def test_a_starting_server_removes_what_nobody_needs(
    start_server: Callable, tmp_path: Path, eventually: Callable
) -> None:
    store = Store(tmp_path / "models")
    store.model(ModelName.parse("demo"))
    digest, _ = store.blobs.add(b"nobody's")
    old = time.time() - 2 * GRACE_S
    os.utime(store.blobs.path(digest), (old, old))
    with start_server(OLLAMA_MODELS=str(store.root)).client() as client:
        assert client.get("/api/tags").is_success

        eventually(lambda: not store.blobs.has(digest), "the end of the blob", 10)


# --- draft models ---------------------------------------------------------------------------------


def extras_of(client: httpx.Client, **options: object) -> dict:
    """What is told besides of 40 tokens that `made` writes."""
    options = {"num_predict": 40, **options}
    body = {"model": "made", "prompt": "Once upon a time", "stream": False, "options": options}
    headers = {"X-Ollama-Nb-Extras": "1"}
    return dict(client.post("/api/generate", json=body, headers=headers).json()["nb"])


def size_of(client: httpx.Client) -> int:
    """Bytes that `made` takes in memory."""
    loaded = client.get("/api/ps").json()["models"]
    return next(int(m["size"]) for m in loaded if m["name"] == "made:latest")


def test_a_draft_model_is_stored_shown_and_loaded(
    client: httpx.Client, made: Callable, demo_gguf: Path
) -> None:
    digest = uploaded(client, demo_gguf.read_bytes())
    answer = made(**{"from": "demo"}, draft_files={"small.gguf": digest})

    assert answer.json() == {"status": "success"}
    assert f"/{digest.replace(':', '-')}" in shown(client)["modelfile"].split("\nDRAFT ")[1]
    without = extras_of(client, draft_num_predict=0)
    assert "warnings" not in without
    assert "drafted_tokens" not in without
    with_it = size_of(client)
    made(**{"from": "demo"})
    extras_of(client)
    assert with_it > size_of(client) + demo_gguf.stat().st_size / 2


def test_who_is_made_from_a_model_has_its_draft_model(
    client: httpx.Client, made: Callable, demo_gguf: Path, full: Callable
) -> None:
    made(**{"from": "demo"}, draft_files={"small.gguf": uploaded(client, demo_gguf.read_bytes())})
    made(**{"from": "made"}, system="Hi.")
    assert shown(client)["modelfile"].count("\nDRAFT ") == 1
    made(
        **{"from": "made"}, draft_files={"f.gguf": uploaded(client, full(np.float16).read_bytes())}
    )
    assert shown(client)["modelfile"].count("\nDRAFT ") == 1
    assert shown(client)["system"] == "Hi."


def test_a_modelfile_may_name_a_draft_model(
    client: httpx.Client, made: Callable, demo_gguf: Path
) -> None:
    digest = uploaded(client, demo_gguf.read_bytes())

    assert made(modelfile=f"FROM demo\nDRAFT @{digest}").json() == {"status": "success"}
    assert shown(client)["modelfile"].count("\nDRAFT ") == 1


def test_a_draft_model_is_quantised(client: httpx.Client, made: Callable, full: Callable) -> None:
    digest = uploaded(client, full(np.float16).read_bytes())
    answer = made(
        **{"from": "demo"}, draft_files={"d.gguf": digest}, draft_quantize="q8_0", stream=True
    )

    assert "quantizing draft model to Q8_0" in answer.text
    assert statuses(answer)[-1] == "success"
    assert digest.replace(":", "-") not in shown(client)["modelfile"]


def test_what_cannot_draft_is_refused(
    client: httpx.Client, made: Callable, demo_gguf: Path, stranger_gguf: Path
) -> None:
    same, other = (uploaded(client, path.read_bytes()) for path in (demo_gguf, stranger_gguf))
    for files, error in (
        ({"d.bin": same}, "DRAFT d.bin: a draft model must be one GGUF file"),
        ({"d.gguf": same, "e.gguf": same}, "DRAFT d.gguf: a draft model must be one GGUF file"),
        ({"d.gguf": other}, "DRAFT d.gguf: it has another vocabulary than the model"),
    ):
        answer = made(**{"from": "demo"}, draft_files=files)
        assert (answer.status_code, error in answer.text) == (400, True), answer.text
