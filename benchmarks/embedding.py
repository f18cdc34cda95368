"""512 texts of 4 to 40 words embedded in one request, against a bare loop and llama-server.

    python -m benchmarks.embedding MODEL.gguf [MORE.gguf ...] [--llama-server PATH]

The models are encoders, as all-MiniLM-L6-v2 in F16 or Q8_0. The bare loop packs tokens into batches
with all threads and lets llama.cpp pool them: no server, no text, nothing promised of companions.
All are measured in turn, round after round; ratios are the median of the rounds' own.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import llama_cpp as ll
from ollama_nb_server.engine.engine import usable_processors

from benchmarks.servers import free_port, prepared_store, process, wait_for

NUM_TEXTS, WORDS = 512, (4, 40)
NUM_ROWS, NUM_SEQS = 256, 64
VOCABULARY = (
    "the of and to in is was for that on with as his they at be this have from or one had by word",
    "but not what all were we when your can said there use an each which she do how their if will",
    "up other about out many then them these so some her would make like him into time has look",
)

QUIET = ll.llama_log_callback(lambda *_: None)  # it has a line for every batch

Texts = list[str]
Embeds = Callable[[Texts], None]


def texts() -> Texts:
    """The same ones each time."""
    rng, words = random.Random(1), " ".join(VOCABULARY).split()
    return [" ".join(rng.choices(words, k=rng.randint(*WORDS))) for _ in range(NUM_TEXTS)]


class BareLoop:
    """llama_decode on as many tokens as fit a batch, the shortest texts first."""

    def __init__(self, path: Path) -> None:
        ll.llama_log_set(QUIET, ctypes.c_void_p(0))
        self._model = ll.llama_model_load_from_file(bytes(path), ll.llama_model_default_params())
        self._vocab = ll.llama_model_get_vocab(self._model)
        params = ll.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = NUM_ROWS
        params.n_seq_max, params.kv_unified, params.no_perf = NUM_SEQS, True, True
        params.n_threads = params.n_threads_batch = usable_processors()
        params.embeddings, params.pooling_type = True, ll.LLAMA_POOLING_TYPE_MEAN
        self._context = ll.llama_init_from_model(self._model, params)
        self._batch = ll.llama_batch_init(NUM_ROWS, 0, 1)

    def close(self) -> None:
        ll.llama_batch_free(self._batch)
        ll.llama_free(self._context)
        ll.llama_model_free(self._model)

    def __call__(self, wanted: Texts) -> None:
        """The vectors of all texts."""
        group: list[list[int]] = []
        for tokens in sorted(map(self._tokens, wanted), key=len):
            if sum(map(len, group)) + len(tokens) > NUM_ROWS or len(group) == NUM_SEQS:
                self._compute(group)
                group = []
            group.append(tokens)
        self._compute(group)

    def _tokens(self, text: str) -> list[int]:
        data = text.encode()
        room = (ll.llama_token * NUM_ROWS)()
        count = ll.llama_tokenize(self._vocab, data, len(data), room, NUM_ROWS, True, False)
        return list(room[:count])

    def _compute(self, group: list[list[int]]) -> None:
        batch, row = self._batch, 0
        for seq, tokens in enumerate(group):
            for pos, token in enumerate(tokens):
                batch.token[row], batch.pos[row], batch.logits[row] = token, pos, True
                batch.n_seq_id[row], batch.seq_id[row][0] = 1, seq
                row += 1
        batch.n_tokens = row
        assert ll.llama_decode(self._context, batch) == 0
        width = ll.llama_model_n_embd(self._model)
        for seq in range(len(group)):
            pointer = ll.llama_get_embeddings_seq(self._context, seq)
            bytes((ctypes.c_float * width).from_address(ctypes.addressof(pointer.contents)))


@contextmanager
def ours(path: Path) -> Iterator[Embeds]:
    """Our stand-alone server."""
    with TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        prepared_store(folder / "models", path)
        command = [sys.executable, "-m", "ollama_nb_server", "serve", "--port", str(port)]
        with process(command, folder, OLLAMA_MODELS=str(folder / "models")) as running:
            url = f"http://127.0.0.1:{port}"
            yield from _served(running, url, f"{url}/api/embed", {"model": "bench"})


@contextmanager
def llama_server(program: str, path: Path) -> Iterator[Embeds]:
    """llama.cpp's own server, which computes as many texts at once as it has slots."""
    with TemporaryDirectory() as name:
        port = free_port()
        command = [program, "-m", str(path), "--embedding", "--pooling", "mean", "--no-webui"]
        command += ["-np", "16", "-c", "8192", "-b", "512", "-ub", "512", "--port", str(port)]
        with process(command, Path(name)) as running:
            url = f"http://127.0.0.1:{port}"
            yield from _served(running, f"{url}/health", f"{url}/v1/embeddings", {})


def _served(
    running: subprocess.Popen[bytes], ready: str, path: str, body: dict[str, Any]
) -> Iterator[Embeds]:
    wait_for(ready, {}, running)
    with httpx.Client(timeout=600, trust_env=False) as client:

        def embed(wanted: Texts) -> None:
            client.post(path, json={**body, "input": wanted}).raise_for_status().json()

        embed(["warm"])
        yield embed


def rate(embed: Embeds, wanted: Texts) -> float:
    """Texts a second."""
    began = time.perf_counter()
    embed(wanted)
    return len(wanted) / (time.perf_counter() - began)


def measure(path: Path, rounds: int, peer: str | None) -> dict[str, object]:
    """One row: medians of texts a second, and of the ratios of each round."""
    wanted = texts()
    with ExitStack() as stack:
        bare = BareLoop(path)
        stack.callback(bare.close)
        who: dict[str, Embeds] = {"bare": bare, "ours": stack.enter_context(ours(path))}
        if peer:
            who["llama-server"] = stack.enter_context(llama_server(peer, path))
        runs: dict[str, list[float]] = {name: [] for name in who}
        for _ in range(rounds):
            for name, embed in who.items():
                runs[name].append(rate(embed, wanted))
    row: dict[str, object] = {"model": path.stem}
    row |= {name: round(statistics.median(values), 1) for name, values in runs.items()}
    for name in set(runs) - {"ours"}:
        ratios = [a / b for a, b in zip(runs["ours"], runs[name], strict=True)]
        row[f"ours/{name}"] = round(statistics.median(ratios), 3)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, help="GGUF files of encoders")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--llama-server", help="path of a llama-server to compare with")
    options = parser.parse_args()
    rows = []
    for path in options.models:
        rows.append(measure(path, options.rounds, options.llama_server))
        print(rows[-1], file=sys.stderr)
    print(json.dumps({"benchmark": "embedding", "rows": rows}))


if __name__ == "__main__":
    main()
