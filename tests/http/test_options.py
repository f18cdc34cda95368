"""Options of a request: each one that llama.cpp has changes something, the others are told."""

from __future__ import annotations

from pathlib import Path

import httpx
import psutil
import pytest

SEEDED = {"temperature": 1.2, "seed": 7, "num_predict": 40, "top_k": 0, "top_p": 1.0}
PROMPT = "Write a story about a fox."
WARNINGS = "X-Ollama-Nb-Warnings"
SEED_DOCUMENT = {  # all options of the old API document
    "num_keep": 5, "seed": 42, "num_predict": 10, "top_k": 20, "top_p": 0.9, "min_p": 0.0,
    "tfs_z": 0.5, "typical_p": 0.7, "repeat_last_n": 33, "temperature": 0.8, "repeat_penalty": 1.2,
    "presence_penalty": 1.5, "frequency_penalty": 1.0, "mirostat": 1, "mirostat_tau": 0.8,
    "mirostat_eta": 0.6, "penalize_newline": True, "stop": ["\n", "user:"], "numa": False,
    "num_ctx": 1024, "num_batch": 2, "num_gqa": 1, "num_gpu": 1, "main_gpu": 0, "low_vram": False,
    "f16_kv": True, "vocab_only": False, "use_mmap": True, "use_mlock": False, "num_thread": 8,
    "logits_all": False, "embedding_only": False, "rope_frequency_base": 1.1,
    "rope_frequency_scale": 0.8,
}  # fmt: skip


def ask(client: httpx.Client, **options: object) -> httpx.Response:
    body = {"model": "demo", "prompt": PROMPT, "stream": False, "options": SEEDED | options}
    return client.post("/api/generate", json=body)


def text(client: httpx.Client, **options: object) -> str:
    return ask(client, **options).raise_for_status().json()["response"]


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 8},
        {"temperature": 0.2},
        {"top_k": 1},
        {"top_p": 0.1},
        {"min_p": 0.5},
        {"typical_p": 0.1},
        {"repeat_penalty": 3.0},
        {"presence_penalty": 2.0},
        {"frequency_penalty": 2.0},
        {"mirostat": 1},
        {"mirostat": 2},
        {"mirostat": 2, "mirostat_tau": 0.5},
        {"mirostat": 2, "mirostat_eta": 1.0, "mirostat_tau": 1.0},
        {"num_predict": 3},
        {"stop": ["a"]},
        {"rope_frequency_base": 20.0},
        {"rope_frequency_scale": 0.25},
        {"num_ctx": 32, "num_keep": 0},
        {"num_ctx": 32, "num_keep": 12},
    ],
    ids=str,
)
def test_an_option_changes_the_answer(client, options: dict) -> None:
    assert text(client, **options) != text(client)


def test_repeat_last_n_is_how_far_penalties_look_back(client) -> None:
    strong = {"repeat_penalty": 3.0}

    assert text(client, **strong, repeat_last_n=0) == text(client)
    assert text(client, **strong, repeat_last_n=-1) != text(client)


def test_options_that_only_concern_the_machine_leave_the_answer_alone(client) -> None:
    machine = {"num_thread": 2, "use_mmap": False, "numa": True, "num_gpu": 0}

    assert text(client, **machine) == text(client)


@pytest.mark.parametrize(("use_mmap", "mapped"), [(True, True), (False, False)])
def test_use_mmap_says_how_the_weights_are_read(client, ollama_server, use_mmap, mapped) -> None:
    text(client, use_mmap=use_mmap)

    maps = [m.path for p in ollama_server.workers() for m in p.memory_maps()]
    assert any("sha256-" in path for path in maps) == mapped


def test_use_mlock_locks_the_weights_or_says_that_it_cannot(client, ollama_server) -> None:
    answer = ask(client, use_mlock=True)

    locked = [
        line
        for worker in ollama_server.workers()
        for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines()
        if line.startswith("VmLck:") and line.split()[1] != "0"
    ]
    assert bool(locked) != ("use_mlock" in answer.headers.get(WARNINGS, ""))


def test_num_thread_is_the_number_of_threads_that_compute(client, ollama_server) -> None:
    most = len(psutil.Process().cpu_affinity())
    text(client, num_thread=1)
    few = _threads(ollama_server.workers())
    answer = ask(client, num_thread=10_000)

    assert _threads(ollama_server.workers()) == few + most - 1
    assert f"this machine has {most} processors" in answer.headers[WARNINGS]


def _threads(workers: list[psutil.Process]) -> int:
    return sum(worker.num_threads() for worker in workers)


def test_all_options_of_the_old_document_are_taken_and_the_dropped_ones_told(client) -> None:
    answer = client.post(
        "/api/generate",
        json={"model": "demo", "prompt": PROMPT, "stream": False, "options": SEED_DOCUMENT},
    )

    told = answer.headers[WARNINGS]
    assert answer.status_code == 200
    assert {name for name in SEED_DOCUMENT if f"'{name}'" in told} >= {
        "tfs_z", "penalize_newline", "num_gqa", "low_vram", "f16_kv", "logits_all", "vocab_only",
        "embedding_only",
    }  # fmt: skip
    assert "mirostat" not in told


def test_an_option_that_there_is_not_names_the_nearest_one(client, ollama_server) -> None:
    answer = ask(client, temprature=0.5)

    told = "option 'temprature' has no effect (there is none of this name, is 'temperature' meant?)"
    assert told in answer.headers[WARNINGS]
    assert told in ollama_server.log.read_text()


def test_the_body_stays_as_ollama_s(client) -> None:
    assert list(ask(client, tfs_z=1).json()) == list(ask(client).json())


def test_the_model_s_options_beat_the_defaults_and_the_request_s_beat_both(client) -> None:
    parameters = {"num_predict": 5, "temperature": 0}
    client.post("/api/create", json={"model": "short", "from": "demo", "parameters": parameters})

    def count(**options: object) -> int:
        body = {"model": "short", "prompt": PROMPT, "stream": False, "options": options}
        return client.post("/api/generate", json=body).json()["eval_count"]

    assert (count(), count(num_predict=3), count(num_predict=None)) == (5, 3, 5)


def test_a_grammar_bounds_the_answer(client) -> None:
    answer = ask(client, grammar='root ::= "yes" | "no"')

    assert answer.json()["response"] in ("yes", "no")


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"options": {"grammar": "root ::= nope"}}, 400, "grammar"),
        ({"options": {"grammar": 'root ::= "a'}}, 400, "grammar"),
        ({"options": {"grammar": 5}}, 500, 'option "grammar" must be of type string'),
        ({"format": "json", "options": {"grammar": 'root ::= "a"'}}, 400, "not both"),
    ],
)
def test_a_bad_grammar_is_refused(client, fields: dict, status: int, sentence: str) -> None:
    answer = client.post("/api/generate", json={"model": "demo", "prompt": PROMPT} | fields)

    assert answer.status_code == status
    assert sentence in answer.json()["error"]
