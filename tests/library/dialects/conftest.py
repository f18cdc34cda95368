"""What a model answers, in a real worker that was given what the library says."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ollama_nb_server.engine.messages import (
    Delta,
    Embed,
    Generate,
    LoadSpec,
    SamplingParams,
    TokenSegment,
)
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.library import dialects, gguf
from ollama_nb_server.library.dialects import Loadable
from ollama_nb_server.library.digests import Digest

sys.path.insert(0, str(Path(__file__).parent))  # the modules that the tests here share

PROMPT = (5, 9, 77, 31, 64, 2, 100, 12)


@dataclass(frozen=True)
class Answers:
    """What a model writes, and the vector it makes of a text."""

    text: str
    vector: np.ndarray

    def same(self, other: Answers) -> bool:
        return self.text == other.text and np.allclose(self.vector, other.vector, atol=1e-5)


async def asked(path: Path, form: Loadable) -> Answers:
    facts = {"num_ctx": 64, "num_parallel": 1, "num_thread": 1}
    given = {"translation": str(form.translation or ""), "overrides": form.overrides}
    worker = await Worker.start(LoadSpec(str(path), **facts, **given))
    try:
        request = Generate(
            1, (TokenSegment(PROMPT),), SamplingParams(seed=1, temperature=0), num_predict=16
        )
        events = [e async for e in worker.generate(request)] if worker.info.num_parallel else []
        embedded = await worker.embed(Embed(2, ("hello world",)))
    finally:
        await worker.stop()
    text = "".join(event.text for event in events if isinstance(event, Delta))
    return Answers(text, np.frombuffer(embedded.vectors[0], np.float32))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def answers(cache: Path) -> Callable[[Path], Awaitable[Answers]]:
    """`await answers(path)`: of the model in that file, put right as the library says."""

    async def told(path: Path) -> Answers:
        form = dialects.loadable(gguf.read(path), digest_of(path), cache)
        return await asked(path, form)

    return told


@pytest.fixture
def digest() -> Callable[[Path], Digest]:
    return digest_of


def digest_of(path: Path) -> Digest:
    return Digest(hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def as_it_is() -> Callable[[Path], Awaitable[Answers]]:
    """`await as_it_is(path)`: of the model in that file, given to llama.cpp unchanged."""

    async def told(path: Path) -> Answers:
        return await asyncio.wait_for(asked(path, Loadable()), 60)

    return told
