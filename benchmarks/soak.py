"""What the server's process takes while 64 clients share 16 slots, and whether it stays flat.

    python -m benchmarks.soak [--seconds 600] [--model demo] [--limit-mb 40] [--users 100]

Clients stream answers, leave in the middle of some, chat and embed, each one thing after another.
Memory is what the server and its worker hold (USS: theirs alone), sampled once a second. Idle is
after a few requests of each kind, one at a time. `grown_mb` is the last quarter's mean above that
of the second. With --limit-mb it fails where the server takes more above idle, or in five minutes
and more has grown by more than a tenth of that.

With --users each client is a user with a token of their own, as on a shared server: accounts are
kept, turns are fair, and what is refused by policy (429, 503) is counted; any other failure ends
it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import psutil
from ollama_nb_server.sharing.tokens import RECHECK_S, TokenFile

from benchmarks.models import MODELS, models
from benchmarks.servers import Target, open_client, ours
from benchmarks.texts import Texts, texts_for

EVERY_S, TELL_S, WARM_S = 1.0, 30, 300
MB = 1 << 20
TOKENS = "tokens.json"
BY_POLICY, AGAIN_S = (429, 503), 1.0
KINDS = {"stream": 60, "leave": 15, "chat": 15, "embed": 10}  # of a hundred requests


class Refused(Exception):
    """A request that was refused by policy."""


async def ask(
    client: httpx.AsyncClient, target: Target, texts: Texts, kind: str, dice: random.Random
) -> None:
    """One request of this kind, as long as chance wants it.

    Raises
    ------
    Refused
        By policy; the server says when to come again.
    """
    words = dice.choice((4, 20, 100))
    body = {"model": "bench", "options": {"num_predict": dice.choice((8, 32, 96)), "num_ctx": 1024}}
    text = texts.prompt(words, dice.random())
    if kind == "embed":
        many = {"input": [texts.prompt(words, dice.random()) for _ in range(8)]}
        answer = await post(client, target, "embed", body | many)
    elif kind == "chat":
        said = {"messages": [{"role": "user", "content": text}], "stream": False}
        answer = await post(client, target, "chat", body | said)
    else:
        left = dice.randrange(1, 8) if kind == "leave" else None
        await read(client, target, body | {"prompt": text}, left)
        return
    check(answer)


async def post(
    client: httpx.AsyncClient, target: Target, verb: str, body: dict[str, object]
) -> httpx.Response:
    return await client.post(f"{target.url}/api/{verb}", json=body, headers=target.headers)


def check(answer: httpx.Response) -> None:
    if answer.status_code in BY_POLICY:
        raise Refused
    answer.raise_for_status()


async def read(
    client: httpx.AsyncClient, target: Target, body: dict[str, object], num_lines: int | None
) -> None:
    """A streamed answer to its end, or so many lines of it."""
    url = f"{target.url}/api/generate"
    async with client.stream("POST", url, json=body, headers=target.headers) as answer:
        check(answer)
        async for _ in answer.aiter_lines():
            if num_lines is not None and (num_lines := num_lines - 1) <= 0:
                return


@dataclass
class Memory:
    """Samples of one process, in MB."""

    process: psutil.Process
    samples: list[float] = field(default_factory=list)

    def sample(self) -> None:
        self.samples.append(self.process.memory_full_info().uss / MB)

    def summary(self) -> dict[str, float]:
        """What it took above the first sample, which is idle, and how that went on."""
        idle, *loaded = self.samples
        _, second, third, last = np.array_split(loaded, 4)
        later = np.concatenate([second, third, last])
        slope, _ = np.polyfit(np.arange(len(later)) * EVERY_S / 60, later, 1)
        facts = {
            "idle_mb": idle,
            "above_mb": max(loaded) - idle,
            "grown_mb": last.mean() - second.mean(),
            "mb_a_minute": slope,
        }
        return {name: round(float(value), 2) for name, value in facts.items()}


async def soak(
    targets: list[Target], texts: Texts, memories: list[Memory], seconds: float
) -> Counter[str]:
    """Keep a client busy at each target, and sample; how many requests of each kind there were."""
    done: Counter[str] = Counter()
    async with open_client() as client:
        for kind in list(KINDS) * 3:
            await ask(client, targets[0], texts, kind, random.Random(1))
        for memory in memories:
            memory.sample()
        ends = time.monotonic() + seconds

        async def one(number: int, target: Target) -> None:
            dice = random.Random(number)
            while time.monotonic() < ends:
                (kind,) = dice.choices([*KINDS], [*KINDS.values()])
                try:
                    await ask(client, target, texts, kind, dice)
                except Refused:
                    done["refused"] += 1
                    await asyncio.sleep(AGAIN_S)
                else:
                    done[kind] += 1

        working = asyncio.gather(*(one(number, target) for number, target in enumerate(targets)))
        while time.monotonic() < ends:
            await asyncio.sleep(EVERY_S)
            for memory in memories:
                memory.sample()
            if len(memories[0].samples) % TELL_S == 0:
                print([round(memory.samples[-1], 2) for memory in memories], file=sys.stderr)
        await working
    return done


def failure(server: dict[str, float], limit_mb: float, seconds: float) -> str:
    """What is wrong with the server's memory, or nothing.

    In its first minutes the allocator still takes what it then keeps, the more slowly the busier
    the machine is: a short run is held to the limit alone, which a leak passes soon.
    """
    if server["above_mb"] > limit_mb:
        return f"the server took {server['above_mb']} MB above idle, more than {limit_mb}"
    if seconds >= WARM_S and server["grown_mb"] > limit_mb / 10:
        return f"the server grew by {server['grown_mb']} MB, {server['mb_a_minute']} a minute"
    return ""


def shared(folder: str, num_users: int) -> dict[str, str]:
    """What a server's environment has where it is shared: a file of tokens, and one of our own."""
    if not num_users:
        return {}
    file = TokenFile(Path(folder) / TOKENS)
    file.add("nobody", is_admin=False)
    own = {"OLLAMA_NB_TOKENS": str(file.path), "OLLAMA_NB_TOKEN": secrets.token_hex(16)}
    return own | {"OLLAMA_CONTEXT_LENGTH": "1024"}  # which is no user's to choose


def named(target: Target, file: TokenFile, number: int) -> list[Target]:
    """The same server for each of so many users, who are known to it by then."""
    tokens = [file.add(f"user{one}", is_admin=False) for one in range(number)]
    time.sleep(2 * RECHECK_S)
    return [replace(target, headers={"Authorization": f"Bearer {token}"}) for token in tokens]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo", help=MODELS)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--users", type=int, default=0, help="so many clients, each with a name")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--limit-mb", type=float, help="fail where the server takes more")
    options = parser.parse_args()
    ((name, path),) = models([options.model]).items()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        environ = shared(folder, options.users)
        token = environ.get("OLLAMA_NB_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else None
        target = stack.enter_context(ours(path, options.slots, headers=headers, **environ))
        targets = [target] * options.clients
        if options.users:
            targets = named(target, TokenFile(Path(folder) / TOKENS), options.users)
        server = psutil.Process(target.pid)
        workers = [p for p in server.children() if "ollama_nb_server.engine.worker" in p.cmdline()]
        memories = {"server": Memory(server), "worker": Memory(*workers)}
        texts, both = texts_for(name), [*memories.values()]
        done = asyncio.run(soak(targets, texts, both, options.seconds))
    facts = {"model": name, "clients": len(targets), "users": options.users}
    facts["slots"] = options.slots
    told = {name: memory.summary() for name, memory in memories.items()}
    print(json.dumps({"benchmark": "soak", **facts, "requests": dict(done), **told}))
    if options.limit_mb is None:
        return
    if wrong := failure(told["server"], options.limit_mb, options.seconds):
        sys.exit(wrong)


if __name__ == "__main__":
    main()
