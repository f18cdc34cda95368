"""Real servers to measure: ours stand-alone and inside Jupyter, llama-server; their clients."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from ollama_nb_server.library import gguf
from ollama_nb_server.library.bundled import config_of
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Layer, Manifest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

START_S = 120


@dataclass(frozen=True)
class Target:
    """A server that answers; `ollama` says whose API it speaks."""

    url: str
    ollama: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    seeded: bool = False
    cached: bool = False
    num_ctx: int = 1024
    pid: int = 0

    def request(self, prompt: str, num_tokens: int, seed: int) -> tuple[str, dict[str, object]]:
        """Path and body of a streamed completion with Ollama's default sampling.

        Ours gets its seed only if `seeded`: it makes answers reproducible, which has its price.
        llama-server keeps what it has read only if `cached`.
        """
        if self.ollama:
            options = {"num_predict": num_tokens, "num_ctx": self.num_ctx}
            options |= {"seed": seed} if self.seeded else {}
            return "/api/generate", {
                "model": "bench",
                "prompt": prompt,
                "raw": True,
                "options": options,
            }
        chain = {"top_k": 40, "top_p": 0.9, "min_p": 0, "temperature": 0.8, "seed": seed}
        more = {
            "stream": True,
            "ignore_eos": False,
            "cache_prompt": self.cached,
            "samplers": ["top_k", "top_p", "temperature"],
        }
        return "/completion", {"prompt": prompt, "n_predict": num_tokens, **chain, **more}


async def chunks(answer: httpx.Response) -> AsyncIterator[tuple[float, dict[str, Any]]]:
    """The messages of a stream that carry text or end it, and when each came.

    What only keeps a connection alive is no token: an empty message (ours, every five seconds), a
    comment (llama-server's).
    """
    async for line in answer.aiter_lines():
        if not line or line.startswith(":"):
            continue
        came, chunk = time.perf_counter(), json.loads(line.removeprefix("data: "))
        if any(chunk.get(name) for name in ("response", "content", "done", "stop")):
            yield came, chunk


async def tokens(
    client: httpx.AsyncClient, target: Target, prompt: str, count: int, seed: int
) -> AsyncIterator[float]:
    """The time at which each chunk of an answer came."""
    path, body = target.request(prompt, count, seed)
    async with client.stream(
        "POST", target.url + path, json=body, headers=target.headers
    ) as answer:
        answer.raise_for_status()
        async for came, _ in chunks(answer):
            yield came


async def counted(
    client: httpx.AsyncClient, target: Target, prompt: str, count: int, seed: int
) -> tuple[int, float, float]:
    """Tokens of one answer, and when its first and its last chunk came."""
    path, body = target.request(prompt, count, seed)
    number, first, last = 0, 0.0, 0.0
    async with client.stream(
        "POST", target.url + path, json=body, headers=target.headers
    ) as answer:
        answer.raise_for_status()
        async for last, chunk in chunks(answer):
            first = first or last
            if chunk.get("done"):
                number = chunk["eval_count"]
            elif chunk.get("stop"):
                number = chunk["tokens_predicted"]
    return number, first, last


Counted = tuple[int, float, float]


def open_client() -> httpx.AsyncClient:
    """A client with a connection for each request: llama-server closes them behind a stream."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(timeout=600, trust_env=False, limits=limits)


def all_at_once(target: Target, prompts: list[str], count: int) -> list[Counted]:
    """So many tokens of each of these prompts, all at the same time."""

    async def run() -> list[Counted]:
        async with open_client() as client:
            asked = [counted(client, target, text, count, n) for n, text in enumerate(prompts)]
            return await asyncio.gather(*asked)

    return asyncio.run(run())


def tokens_per_second(done: list[Counted]) -> float:
    """Of all these answers together, from the first chunk to the last."""
    began, ended = min(first for _, first, _ in done), max(last for _, _, last in done)
    return sum(number - 1 for number, _, _ in done) / (ended - began)


def rate(target: Target, prompt: str, streams: int, count: int) -> float:
    """Tokens a second of so many streams at once: the sum of what each has, from its first chunk.

    When the first ones come is another matter (`first_token`): who begins with some streams while
    the prompts of others are read must not count as slower.
    """
    done = all_at_once(target, [prompt] * streams, count)
    return sum((number - 1) / (last - first) for number, first, last in done if last > first)


def prepared_store(root: Path, model: Path) -> None:
    """A store in which the model is called `bench`."""
    store = Store(root)
    digest = store.blobs.add_file(model)
    metadata = gguf.read(store.blobs.path(digest))
    data = config_of(metadata).encode()
    config, _ = store.blobs.add(data)
    weights = Layer(f"{LAYER_TYPE}model", digest, model.stat().st_size, model.name)
    store.write(
        ModelName.parse("bench"), Manifest(Layer(CONFIG_TYPE, config, len(data)), (weights,))
    )


@contextmanager
def process(command: list[str], folder: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, env={**os.environ, **environ}, stdout=log, stderr=log)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(30)


def wait_for(url: str, headers: dict[str, str], running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and running.poll() is None:
        try:
            if httpx.get(url, headers=headers, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    sys.exit(f"no server answers at {url}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ours(
    model: Path,
    streams: int,
    num_ctx: int = 1024,
    headers: dict[str, str] | None = None,
    **environ: str,
) -> Iterator[Target]:
    """Our stand-alone server with the model loaded, and more in its environment."""
    with TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        prepared_store(folder / "models", model)
        command = [
            sys.executable,
            "-m",
            "ollama_nb_server",
            "serve",
            "--port",
            str(port),
            "--log-level",
            "WARNING",
        ]
        settings = {"OLLAMA_MODELS": str(folder / "models"), "OLLAMA_NUM_PARALLEL": str(streams)}
        with process(command, folder, **settings, **environ) as running:
            url = f"http://127.0.0.1:{port}"
            target = Target(url, headers=headers or {}, num_ctx=num_ctx, pid=running.pid)
            wait_for(target.url, target.headers, running)
            rate(target, "aa", 1, 4)
            yield target


@contextmanager
def ours_in_jupyter(model: Path, streams: int) -> Iterator[Target]:
    """A Jupyter server with the extension and the model loaded."""
    with TemporaryDirectory() as name:
        folder, port, token = Path(name), free_port(), secrets.token_hex(16)
        prepared_store(folder / "models", model)
        command = [
            sys.executable,
            "-m",
            "jupyter_server",
            "--no-browser",
            "--allow-root",
            f"--port={port}",
        ]
        more = [
            f"--IdentityProvider.token={token}",
            f"--ServerApp.root_dir={folder}",
            "--ServerApp.log_level=ERROR",
        ]
        settings = {"OLLAMA_MODELS": str(folder / "models"), "OLLAMA_NUM_PARALLEL": str(streams)}
        headers = {"Authorization": f"Bearer {token}"}
        with process([*command, *more], folder, **settings) as running:
            target = Target(f"http://127.0.0.1:{port}/ollama", headers=headers)
            wait_for(f"{target.url}/api/version", headers, running)
            rate(target, "aa", 1, 4)
            yield target


@contextmanager
def llama_server(program: str, model: Path, streams: int, num_ctx: int = 1024) -> Iterator[Target]:
    """llama.cpp's own server with as many slots."""
    with TemporaryDirectory() as name:
        port = free_port()
        command = [program, "-m", str(model), "-np", str(streams), "-c", str(num_ctx * streams)]
        with process([*command, "--port", str(port), "--no-webui"], Path(name)) as running:
            target = Target(f"http://127.0.0.1:{port}", ollama=False)
            wait_for(f"{target.url}/health", {}, running)
            rate(target, "aa", 1, 4)
            yield target
