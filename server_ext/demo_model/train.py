"""Trains the demo model and writes it as a GGUF file.

    python train.py --minutes 60 --out ../ollama_nb_server/data/demo.gguf

Everything is made here: text, tokenizer, weights. The learning rate falls to its end with the wall
clock, so that a slower machine gets a model too.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import export
import torch
import torch.nn.functional as F
from network import Network, Shape
from tokenizers import Tokenizer
from tokens import learn, stream
from torch import Tensor

TOKENS_A_STEP = 4096
PEAK_RATE, LAST_RATE, WARM_UP = 2.5e-3, 5e-5, 0.02
LENGTHS = ((0.85, 256), (1.01, 1024))  # until this share of the time: tokens in one sequence
DEFAULT_OUT = Path(__file__).resolve().parents[1] / "ollama_nb_server" / "data" / "demo.gguf"


def batches(tokenizer: Tokenizer, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Long rows of documents, one after another, with loss weights; send() the wanted length."""
    documents = stream(tokenizer, seed)
    length = LENGTHS[0][1]
    ids: list[int] = []
    weights: list[float] = []
    while True:
        rows, need = TOKENS_A_STEP // length, TOKENS_A_STEP // length * (length + 1)
        while len(ids) < need:
            more, counts = next(documents)
            ids, weights = ids + more, weights + counts
        pair = torch.tensor(ids[:need]).view(rows, -1), torch.tensor(weights[:need]).view(rows, -1)
        ids, weights = ids[need:], weights[need:]
        length = (yield pair) or length


def rate(progress: float) -> float:
    """Learning rate at a share of the time: a short rise, then a cosine."""
    if progress < WARM_UP:
        return PEAK_RATE * max(progress / WARM_UP, 0.02)
    fall = min((progress - WARM_UP) / (1 - WARM_UP), 1.0)
    return LAST_RATE + (PEAK_RATE - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * fall))


def loss_of(network: Network, ids: Tensor, weights: Tensor) -> Tensor:
    """Mean negative log likelihood of the next token, weighed."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(ids[:, :-1])
    losses = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weigh = weights[:, 1:].flatten()
    return (losses * weigh).sum() / weigh.sum()


def optimizer_of(network: Network) -> torch.optim.AdamW:
    """AdamW; matrices decay, norms do not."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.95), fused=True)


def train(network: Network, tokenizer: Tokenizer, minutes: float, seed: int, work: Path) -> None:
    """Train for so many minutes of wall clock; a model to try is written every two minutes."""
    optimizer, began = optimizer_of(network), time.monotonic()
    data = batches(tokenizer, seed)
    ids, weights = next(data)
    steps, saved, shown = 0, began, 0.0
    while (progress := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate(progress)
        loss = loss_of(network, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        steps += 1
        shown = loss.item() if steps == 1 else 0.95 * shown + 0.05 * loss.item()
        if steps % 100 == 0:
            speed = steps * TOKENS_A_STEP / (time.monotonic() - began)
            print(
                f"step {steps}  {100 * progress:.1f} %  loss {shown:.3f}  {speed:,.0f} tokens/s",
                flush=True,
            )
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            torch.save(network.state_dict(), work / "checkpoint.pt")
            export.write(network, tokenizer, work / "latest.gguf")
        ids, weights = data.send(next(n for until, n in LENGTHS if progress < until))


def main() -> None:
    """Learn a vocabulary, train, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="wall clock for the training")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the GGUF file to write")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("demo-model-work"),
        help="folder for checkpoint and vocabulary",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    shape = Shape()
    tokenizer = learn(shape.vocabulary, options.seed)
    tokenizer.save(str(options.work / "tokenizer.json"))
    network = Network(shape)
    print(export.sizes(network), flush=True)
    train(network, tokenizer, options.minutes, options.seed + 1, options.work)
    export.write(network, tokenizer, options.out)
    print(f"wrote {options.out} ({options.out.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
