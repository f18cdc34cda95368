"""How fast a store of 200 models is listed, and a model with 150,000 tokens shown, over HTTP.

python -m benchmarks.listing [--models 200]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
from gguf import GGUFWriter
from ollama_nb_server.library import gguf
from ollama_nb_server.library.bundled import config_of
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Layer, Manifest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

from benchmarks.servers import free_port, process, wait_for

LARGE, SMALL, LAYERS = 151_936, 32_000, 28  # tokens; transformer blocks of 12 tensors
ONE_IN = 10  # so many models have the large vocabulary
REPEATS = 20
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
)


def header_file(path: Path, vocabulary: int) -> bytes:
    """A model that is nearly all header: words, merges, the tensors of a small transformer."""
    rng = np.random.default_rng(vocabulary)
    letters = rng.integers(97, 123, (vocabulary, 6)).astype(np.uint8)
    lengths = rng.integers(1, 7, vocabulary)
    words = zip(letters, lengths, strict=True)
    tokens = [f"{bytes(row[:n]).decode()}{i}" for i, (row, n) in enumerate(words)]
    writer = GGUFWriter(path, "qwen2")
    writer.add_context_length(32_768)
    writer.add_embedding_length(896)
    writer.add_block_count(LAYERS)
    writer.add_file_type(15)
    writer.add_chat_template(TEMPLATE * 30)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * vocabulary)
    writer.add_token_merges([f"{a} {b}" for a, b in zip(tokens, reversed(tokens), strict=True)])
    for i in range(12 * LAYERS):
        writer.add_tensor(f"blk.{i // 12}.part{i % 12}.weight", np.zeros((2, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def fill(root: Path, count: int) -> None:
    """Models m0, m1, ..., each of a file of its own; every tenth has the large vocabulary."""
    store = Store(root)
    large = header_file(root.with_suffix(".large"), LARGE)
    small = header_file(root.with_suffix(".small"), SMALL)
    license_digest, _ = store.blobs.add(b"Do as you like. " * 600)
    for i in range(count):
        data = (small if i % ONE_IN else large)[:-4] + np.float32(i).tobytes()
        digest, _ = store.blobs.add(data)
        config = config_of(gguf.read(store.blobs.path(digest))).encode()
        config_digest, _ = store.blobs.add(config)
        system = f"You are number {i}.".encode()
        system_digest, _ = store.blobs.add(system)
        layers = (
            Layer(f"{LAYER_TYPE}model", digest, len(data), f"m{i}.gguf"),
            Layer(f"{LAYER_TYPE}license", license_digest, 9600),
            Layer(f"{LAYER_TYPE}system", system_digest, len(system)),
        )
        manifest = Manifest(Layer(CONFIG_TYPE, config_digest, len(config)), layers)
        store.manifests.put(ModelName.parse(f"m{i}"), manifest.encode())


def ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def median_ms(call: Callable[[], object]) -> float:
    return statistics.median(ms(call) for _ in range(REPEATS))


@contextmanager
def served(folder: Path) -> Iterator[httpx.Client]:
    """A server that was just started; it has answered nothing about models yet."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "ollama_nb_server", "serve", "--port", str(port)]
    settings = {"OLLAMA_MODELS": str(folder / "models"), "OLLAMA_NB_CACHE": str(folder / "cache")}
    with process([*command, "--log-level", "WARNING"], folder, **settings) as running:
        wait_for(url, {}, running)
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            client.get("/api/ps").raise_for_status()
            yield client


def measure(folder: Path, count: int) -> dict[str, float]:
    def tags() -> None:
        assert len(client.get("/api/tags").raise_for_status().json()["models"]) == count

    def show(**more: object) -> None:
        client.post("/api/show", json={"model": "m0", **more}).raise_for_status()

    figures = {"header_ms": median_ms(lambda: gguf.read(folder / "models.large"))}
    with served(folder) as client:
        figures["tags_cold_ms"] = ms(tags)
        figures["tags_again_ms"] = median_ms(tags)
    with served(folder) as client:
        figures["tags_after_restart_ms"] = ms(tags)
    with served(folder) as client:
        figures["show_after_restart_ms"] = ms(show)
        figures["show_ms"] = median_ms(show)
        figures["show_verbose_ms"] = median_ms(lambda: show(verbose=True))
        figures["version_ms"] = median_ms(lambda: client.get("/api/version"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=200)
    count = parser.parse_args().models
    with TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "models", count)
        figures = measure(folder, count)
    row = {name: round(value, 1) for name, value in figures.items()}
    print(json.dumps({"benchmark": "listing", "models": count, "vocabulary": LARGE, **row}))


if __name__ == "__main__":
    main()
