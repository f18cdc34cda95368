"""What a model reads: its templates, what fits, what is filled in; whatever a client sends."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from gguf import GGUFReader, GGUFValueType, GGUFWriter

GREEDY = {"temperature": 0, "num_predict": 8}
CHATML = (
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n"
)
OLD = "{{ if .System }}<<{{ .System }}>> {{ end }}[{{ .Prompt }}] {{ .Response }}"
FIM = "{{ if .Suffix }}<P>{{ .Prompt }}<S>{{ .Suffix }}<M>{{ else }}{{ .Prompt }}{{ end }}"


@pytest.fixture
def make(client):
    """`make(name, template=..., system=...)`: a model of the bundled one, dressed so."""

    def made(name: str, **facts: object) -> str:
        body = {"model": name, "from": "demo", "stream": False} | facts
        client.post("/api/create", json=body).raise_for_status()
        return name

    return made


def rendered(client: httpx.Client, path: str, **body: object) -> str:
    answer = client.post(f"/api/{path}", json=body | {"_debug_render_only": True})
    return answer.raise_for_status().json()["_debug_info"]["rendered_template"]


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_a_model_s_go_template_writes_its_chats(client, make) -> None:
    make("go-chat", template=CHATML, system="Be brief.")

    text = rendered(client, "chat", model="go-chat", messages=[said("user", "Hi")])

    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_and_answers_as_the_same_text_in_jinja_does(client, make) -> None:
    make("go-chat", template=CHATML)
    body = {"messages": [said("user", "Tell me a story.")], "stream": False, "options": GREEDY}

    go = client.post("/api/chat", json=body | {"model": "go-chat"}).json()
    jinja = client.post("/api/chat", json=body | {"model": "demo"}).json()

    assert go["message"] == jinja["message"]


def test_an_old_template_is_run_exchange_by_exchange(client, make) -> None:
    make("go-old", template=OLD)
    turns = [said("system", "S"), said("user", "1"), said("assistant", "A"), said("user", "2")]

    assert rendered(client, "chat", model="go-old", messages=turns) == "<<S>> [1] A[2] "


def test_a_model_s_own_messages_come_first(client, make) -> None:
    make("go-past", template=OLD, messages=[said("user", "q"), said("assistant", "a")])

    assert rendered(client, "generate", model="go-past", prompt="P") == "[q] a[P] "
    assert rendered(client, "generate", model="go-past", prompt="P", context=[]) == "[P] "


def test_a_request_s_template_wins(client) -> None:
    text = rendered(
        client,
        "generate",
        model="demo",
        prompt="P",
        system="S",
        template="{{ .System }}/{{ .Prompt }}",
    )

    assert text == "S/P"


@pytest.mark.parametrize(
    ("template", "status", "sentence"),
    [
        ("{{ .Prompt", 500, "template: :1: unclosed action"),
        ("{{ nope }}", 500, 'template: :1: function "nope" not defined'),
        ("{{ range .Messages }}{{ .Nope }}{{ end }}", 500, "can't evaluate field Nope"),
        ("{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}", 500, "template"),
        ("{{ range 1000000000 }}{{ range 1000000000 }}x{{ end }}{{ end }}", 500, "too much"),
        ("{{ range 100000 }}{{ printf \"%1000000d\" 1 }}{{ end }}", 500, "too much"),
        ("{{ " + "(" * 20000 + "1" + ")" * 20000 + " }}", 500, "template"),
    ],
)  # fmt: skip
def test_a_template_that_is_wrong_or_hostile_is_refused_at_once(
    client, template: str, status: int, sentence: str
) -> None:
    body = {"model": "demo", "prompt": "P", "template": template, "stream": False}
    answer = client.post("/api/generate", json=body)

    assert answer.status_code == status
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ("a\n  {{ nope .Prompt }}", '"nope" not defined (line 2, column'),
        ("{{ if .Prompt }}", "unexpected EOF (line 1, column"),
    ],
)
def test_create_refuses_a_broken_template_and_names_the_place(client, template, place) -> None:
    answer = client.post("/api/create", json={"model": "bad", "from": "demo", "template": template})

    assert answer.status_code == 400
    assert place in answer.json()["error"]
    assert client.post("/api/show", json={"model": "bad"}).status_code == 404


@pytest.mark.parametrize(
    ("setting", "template", "beginning"),
    [
        ("", "go {{ .Prompt }}", "go x"),
        ("1", "go {{ .Prompt }}", "go x"),
        ("0", "go {{ .Prompt }}", "<|im_start|>user"),
    ],
)
def test_the_environment_chooses_between_two_templates(
    start_server, setting: str, template: str, beginning: str
) -> None:
    with start_server(OLLAMA_GO_TEMPLATE=setting).client() as client:
        client.post("/api/create", json={"model": "both", "from": "demo", "template": template})
        text = rendered(client, "chat", model="both", messages=[said("user", "x")])

    assert text.startswith(beginning)


def test_a_suffix_is_put_where_the_template_wants_it(client, make) -> None:
    make("go-fim", template=FIM)

    assert "insert" in client.post("/api/show", json={"model": "go-fim"}).json()["capabilities"]
    assert rendered(client, "generate", model="go-fim", prompt="a(", suffix=")") == "<P>a(<S>)<M>"
    assert rendered(client, "generate", model="go-fim", prompt="a(", suffix="") == "a("


def test_without_such_a_template_the_model_s_own_tokens_say_it(client, fim_gguf: Path) -> None:
    digest = upload(client, fim_gguf)
    client.post("/api/create", json={"model": "fim", "files": {"fim.gguf": digest}})

    text = rendered(client, "generate", model="fim", prompt="def f(", suffix="return 1")
    answer = client.post(
        "/api/generate",
        json={"model": "fim", "prompt": "a", "suffix": "b", "stream": False, "options": GREEDY},
    )

    assert text == "<|endoftext|>def f(<|im_start|>return 1<|im_end|>"
    assert answer.json()["done_reason"] in ("stop", "length")


def test_old_turns_are_dropped_and_the_system_text_and_the_last_one_stay(client, make) -> None:
    make("go-chat", template=CHATML)
    turns = [said("system", "Keep.")] + [said("user", f"{n} " + "words " * 20) for n in range(20)]
    turns.insert(10, said("system", "Keep too."))

    text = rendered(client, "chat", model="go-chat", messages=turns, options={"num_ctx": 128})

    assert text.startswith("<|im_start|>system\nKeep.\n\nKeep too.<|im_end|>")
    assert "19 words" in text
    assert "0 words words" not in text.split("19 words")[0]


def test_an_answer_outlives_its_context(client) -> None:
    hot = {"temperature": 20.0, "top_k": 0, "top_p": 1.0, "seed": 3, "num_ctx": 64}
    body = {
        "model": "demo",
        "prompt": "Once",
        "stream": False,
        "options": hot | {"num_predict": 150},
    }

    shifted = client.post("/api/generate", json=body).json()
    ended = client.post("/api/generate", json=body | {"shift": False}).json()

    assert shifted["eval_count"] == 150
    assert (ended["done_reason"], ended["eval_count"] < 64) == ("length", True)


def test_a_huge_prompt_is_cut_and_nobody_waits_for_it(client) -> None:
    huge = "The quick brown fox jumps over the lazy dog. " * 230_000  # 10 MB
    options = GREEDY | {"num_ctx": 256}
    small = {"model": "demo", "prompt": "Hi", "stream": False, "options": options}
    client.post("/api/generate", json=small)

    started = time.monotonic()
    with ThreadPoolExecutor() as pool:
        long = pool.submit(client.post, "/api/generate", json=small | {"prompt": huge}, timeout=120)
        waits = []
        while not long.done():
            began = time.monotonic()
            client.post("/api/generate", json=small).raise_for_status()
            waits.append(time.monotonic() - began)

    assert long.result().raise_for_status().json()["prompt_eval_count"] < 256
    assert max(waits) < (time.monotonic() - started) / 3


def test_a_huge_prompt_that_may_not_be_cut_is_refused(client) -> None:
    huge = "word " * 500_000
    body = {"model": "demo", "prompt": huge, "truncate": False, "stream": False}

    answer = client.post("/api/generate", json=body, timeout=120)

    assert answer.status_code == 400
    assert "exceeds the available context size" in answer.json()["error"]


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_bytes_that_are_no_utf_8_are_read_as_go_reads_them(client, path: str) -> None:
    messages = b'"messages": [{"role": "user", "content": "a\xff\xfeb"}], "prompt": "a\xff\xfeb"'
    body = b'{"model": "demo", "_debug_render_only": true, ' + messages + b"}"

    answer = client.post(f"/api/{path}", content=body)

    assert "a\ufffd\ufffdb" in answer.json()["_debug_info"]["rendered_template"]


@pytest.mark.parametrize("role", ["", "narrator", "DEVELOPER", "user\n"])
def test_roles_that_nobody_knows_reach_the_template(client, make, role: str) -> None:
    make("go-chat", template=CHATML)

    text = rendered(client, "chat", model="go-chat", messages=[said(role, "x")])

    assert text.startswith(f"<|im_start|>{role.lower()}\nx<|im_end|>")


@pytest.fixture(scope="session")
def fim_gguf(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model, its three special tokens said to be those for filling in."""
    target = tmp_path_factory.mktemp("fim") / "fim.gguf"
    reader, writer = GGUFReader(demo_gguf), GGUFWriter(target, "llama")
    for key, value in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        outer, *inner = value.types
        element = inner[0] if outer == GGUFValueType.ARRAY else None
        writer.add_key_value(key, value.contents(), outer, element)
    for token, name in enumerate(("fim_pre", "fim_suf", "fim_mid")):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def upload(client: httpx.Client, file: Path) -> str:
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    client.post(f"/api/blobs/{digest}", content=file.read_bytes()).raise_for_status()
    return digest
