"""A model in an older dialect answers as the same weights in llama.cpp's own form do."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import llama_cpp_form
import ollama_form
import pytest
from dialect_cases import every_case
from ollama_nb_server.engine.errors import LoadFailed, WorkerDied
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.library import dialects, gguf
from ollama_nb_server.library.digests import Digest
from tiny_models import Tiny

PROJECTING = Path(__file__).with_name("projecting.py")
Make = Callable[[], Tiny]
Answering = Callable[[Path], Awaitable[object]]


@every_case
async def test_it_answers_as_the_standard_form_does(
    name: str, old: Make, new: Make, tmp_path: Path, answers: Answering
) -> None:
    old_file, new_file = old().write(tmp_path / "old"), new().write(tmp_path / "new")
    before = hashlib.sha256(old_file.read_bytes()).digest()

    of_old, of_new = await asyncio.gather(answers(old_file), answers(new_file))

    assert dialects.recognise(gguf.read(old_file)).name == name
    assert of_old.same(of_new), (of_old, of_new)
    assert hashlib.sha256(old_file.read_bytes()).digest() == before


@pytest.mark.slow
@every_case
async def test_without_translation_it_does_not(
    name: str, old: Make, new: Make, tmp_path: Path, answers: Answering, as_it_is: Answering
) -> None:
    old_file, new_file = old().write(tmp_path / "old"), new().write(tmp_path / "new")
    of_new = await answers(new_file)

    try:
        of_old = await as_it_is(old_file)
    except (LoadFailed, WorkerDied):
        return

    assert not of_old.same(of_new)


@pytest.mark.slow
async def test_llama_3_cuts_texts_as_the_standard_form_does(tmp_path: Path) -> None:
    old = gguf.read(ollama_form.llama3().write(tmp_path / "old"))
    llama_cpp_form.llama3().write(tmp_path / "new")
    form = dialects.loadable(old, Digest("0" * 64), tmp_path / "cache")

    cut = [
        await tokens(tmp_path / name, overrides)
        for name, overrides in (("new", ()), ("old", form.overrides), ("old", ()))
    ]

    assert dialects.recognise(old).name == "llama3 tokenizer"
    assert form.translation is None
    assert cut[0] == cut[1] != cut[2]


async def tokens(path: Path, overrides: tuple) -> tuple[object, ...]:
    spec = LoadSpec(str(path), num_ctx=64, num_parallel=1, num_thread=1, overrides=overrides)
    worker = await Worker.start(spec)
    try:
        return await worker.tokenize("hello  world..", add_special=True), worker.info.eos_text
    finally:
        await worker.stop()


def test_a_projector_is_taken_as_the_standard_form_is(tmp_path: Path) -> None:
    old, new = (f.projector().write(tmp_path / f.__name__) for f in (ollama_form, llama_cpp_form))
    text = llama_cpp_form.olmo2().write(tmp_path / "text")
    form = dialects.loadable(gguf.read(old), Digest("0" * 64), tmp_path / "cache")

    assert dialects.recognise(gguf.read(old)).name == "clip without projector type"
    assert [takes(text, path) for path in (new, form.translation, old)] == [True, True, False]


def takes(text: Path, projector: Path) -> bool:
    command = [sys.executable, str(PROJECTING), str(text), str(projector)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
