"""Models in older dialects through the API: they answer, or say what to do; the store is untouched."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "library" / "dialects"))  # its tiny models

import httpx
import ollama_form
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Config, Layer, Manifest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store
from tiny_models import Tiny


def published(store: Store, name: str, tiny: Tiny, folder: Path) -> Digest:
    """Put a model into the store, as a pull would."""
    weights = store.blobs.add_file(tiny.write(folder / name))
    document = Config(model_format="gguf", model_family=tiny.architecture).encode()
    config, _ = store.blobs.add(document)
    size = store.blobs.path(weights).stat().st_size
    layers = (Layer(f"{LAYER_TYPE}model", weights, size),)
    manifest = Manifest(Layer(CONFIG_TYPE, config, len(document)), layers)
    store.write(ModelName.parse(name), manifest)
    return weights


def generated(client: httpx.Client, model: str) -> httpx.Response:
    options = {"num_predict": 4, "num_ctx": 64}
    asked = {"model": model, "prompt": "hello", "raw": True, "stream": False, "options": options}
    return client.post("/api/generate", json=asked)


def contents(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_models_in_older_dialects(start_server: Callable, store_dir: Path, tmp_path: Path) -> None:
    store, cache = Store(store_dir), tmp_path / "cache"
    digest = published(store, "translated", ollama_form.gptoss(), tmp_path)
    published(store, "overridden", ollama_form.mistral3_of_text(), tmp_path)
    published(store, "refused", ollama_form.gptoss_of_august(), tmp_path)
    server = start_server(OLLAMA_MODELS=str(store_dir), OLLAMA_NB_CACHE=str(cache))
    before = contents(store_dir)

    with server.client() as client:
        answers = [generated(client, "translated")]
        unloaded = client.post("/api/generate", json={"model": "translated", "keep_alive": 0})
        answers += [generated(client, name) for name in ("overridden", "refused")]
        shown = client.post("/api/show", json={"model": "refused"})

    assert [answer.status_code for answer in answers] == [200, 200, 500]
    assert answers[0].json()["eval_count"] == 4
    assert "hf.co" in shown.headers["X-Ollama-Nb-Warnings"]
    assert "this is gpt-oss in the GGUF dialect" in answers[2].json()["error"]
    assert unloaded.json()["done_reason"] == "unload"
    assert contents(store_dir) == before
    made = [path.name for path in (cache / "dialects").glob("*/sha256-*")]
    assert len(made) == 1
    assert made[0].startswith(digest.filename)
