"""Weights of a new model: rewritten, quantised, put together from parts, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from ollama_nb_server.library import gguf
from ollama_nb_server.library.create import Recipe, create
from ollama_nb_server.library.create.progress import NO_DIGEST
from ollama_nb_server.library.errors import (
    AlreadyQuantized,
    BlobVanished,
    CannotRewrite,
    SplitIncomplete,
    UnsupportedQuantization,
)
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

NAME, DEMO = ModelName.parse("made"), ModelName.parse("demo")


def uploaded(store: Store, *paths: Path) -> dict[str, str]:
    return {path.name: store.blobs.add_file(path).colon for path in paths}


def made(store: Store, **facts: object) -> GGUFMetadata:
    list(create(store, Recipe(name=NAME, **facts)))
    return store.model(NAME).metadata


def kinds(metadata: GGUFMetadata) -> set[str]:
    return {tensor.type_name for tensor in metadata.tensors if len(tensor.shape) > 1}


@pytest.mark.parametrize(
    ("asked", "file_type", "expected"),
    [
        ("q8_0", "Q8_0", {"Q8_0"}),
        ("Q4_K_M", "Q4_K_M", {"Q4_K", "Q6_K"}),
        ("q4_K", "Q4_K_M", {"Q4_K", "Q6_K"}),
        ("q4_k_s", "Q4_K_S", {"Q4_K", "Q6_K"}),
        ("f16", "F16", {"F16"}),
        ("bf16", "BF16", {"BF16"}),
        ("F32", "unknown", {"F32"}),  # as Ollama names file type 0
    ],
)
def test_full_weights_are_quantised(
    store: Store, full: Callable, asked: str, file_type: str, expected: set[str]
) -> None:
    metadata = made(store, files=uploaded(store, full(np.float16)), quantize=asked)

    assert store.model(NAME).config.file_type == file_type
    assert kinds(metadata) & expected


def test_quantising_tells_how_far_it_is(store: Store, full: Callable) -> None:
    files = uploaded(store, full(np.float16))
    steps = list(create(store, Recipe(name=NAME, files=files, quantize="q8_0")))
    counted = [step for step in steps if step.status == "quantizing F16 model to Q8_0"]

    assert [step.status for step in steps if not step.total][:2] == [
        "parsing GGUF",
        "verifying conversion",
    ]
    assert {step.digest for step in counted} == {NO_DIGEST}
    assert [step.completed for step in counted] == sorted(step.completed for step in counted)
    assert counted[-1].completed == counted[-1].total == full(np.float16).stat().st_size


def test_single_precision_can_be_quantised_too(store: Store, full: Callable) -> None:
    assert "Q8_0" in kinds(made(store, files=uploaded(store, full(np.float32)), quantize="q8_0"))


def test_another_model_can_be_quantised(store: Store, full: Callable) -> None:
    made(store, files=uploaded(store, full(np.float16)), system="Kept.")
    smaller = ModelName.parse("smaller")
    list(create(store, Recipe(name=smaller, source=NAME, quantize="q8_0")))

    assert store.model(smaller).config.file_type == "Q8_0"
    assert store.model(smaller).system == "Kept."


def test_what_is_quantised_already_stays_or_is_refused(store: Store) -> None:
    with pytest.raises(AlreadyQuantized):
        list(create(store, Recipe(name=NAME, source=DEMO, quantize="q4_K_M")))
    assert store.names() == [DEMO]


def test_an_unknown_type_is_refused_before_anything_happens(store: Store) -> None:
    with pytest.raises(UnsupportedQuantization, match="Q5_0 - supported types are F32, F16"):
        create(store, Recipe(name=NAME, source=DEMO, quantize="q5_0"))


def test_parts_of_one_model_are_put_together(
    store: Store, parts: list[Path], full: Callable
) -> None:
    in_parts = made(store, files=uploaded(store, *reversed(parts)))
    digest = store.model(NAME).weights_digest
    made(store, files=uploaded(store, full(np.float16)))

    assert "split.count" not in in_parts.values
    assert store.model(NAME).weights_digest == digest, "the same model as one file"


def test_parts_with_more_than_text_keep_all_of_it(store: Store, seeing_parts: list[Path]) -> None:
    whole = made(store, files=uploaded(store, *seeing_parts))
    parts = [gguf.read(part) for part in seeing_parts]

    assert {t.name for t in whole.tensors} == {t.name for part in parts for t in part.tensors}
    assert "split.count" not in whole.values
    assert sum(t.num_bytes for t in whole.tensors) == sum(
        t.num_bytes for part in parts for t in part.tensors
    )


def test_a_missing_part_is_named(store: Store, parts: list[Path]) -> None:
    with pytest.raises(SplitIncomplete, match=r"one of 3 files, 2 are here"):
        made(store, files=uploaded(store, *parts[:2]))


def test_parts_in_each_others_names_are_noticed(store: Store, parts: list[Path]) -> None:
    files = uploaded(store, *parts)
    first, second, _ = sorted(files)
    files[first], files[second] = files[second], files[first]

    with pytest.raises(SplitIncomplete, match="says that it is part 1"):
        made(store, files=files)


def test_what_llama_cpp_cannot_read_is_refused_in_its_words(
    store: Store, full: Callable, tmp_path: Path
) -> None:
    data = full(np.float16).read_bytes().replace(b"llama.block_count", b"llama.block_cuont")
    (tmp_path / "odd.gguf").write_bytes(data)

    with pytest.raises(CannotRewrite, match=r"block_count"):
        made(store, files=uploaded(store, tmp_path / "odd.gguf"))
    assert store.names() == []
    assert [p for p in store.blobs.folder.iterdir() if len(p.name) < 30] == []


def test_closing_a_create_ends_its_process(store: Store, full: Callable) -> None:
    files = uploaded(store, full(np.float16))
    steps = create(store, Recipe(name=NAME, files=files, quantize="q4_K_M"))
    next(step for step in steps if step.total)
    alive = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
    running = [p for p in alive if "ollama_nb_server.engine.requantize" in p.cmdline()]
    steps.close()

    assert running
    assert not [process for process in running if process.is_running()]
    assert [p for p in store.blobs.folder.iterdir() if len(p.name) < 30] == []


def test_a_blob_that_vanishes_meanwhile_leaves_no_broken_model(store: Store) -> None:
    steps = create(store, Recipe(name=NAME, source=DEMO, system="Hi."))
    next(step for step in steps if step.status == "writing manifest")
    store.delete(DEMO, "demo")

    with pytest.raises(BlobVanished):
        list(steps)
    assert store.names() == []
