"""Models created from safetensors files that were uploaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
from ollama_nb_server.library import gguf
from ollama_nb_server.library.convert import CannotConvert
from ollama_nb_server.library.create import Progress, Recipe, create
from ollama_nb_server.library.errors import NamedTwice
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

NAME = ModelName.parse("tiny")


@pytest.fixture
def store(store_dir: Path) -> Store:
    return Store(store_dir)


def uploaded(store: Store, folder: Path) -> dict[str, str]:
    """All files of a folder as blobs."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): store.blobs.add_file(path).colon for path in paths}


def told(steps: list[Progress]) -> list[str]:
    """The statuses, equal neighbours once, layers without their digests."""
    statuses = [step.status.split(" sha256:")[0] for step in steps]
    return [s for place, s in enumerate(statuses) if place == 0 or s != statuses[place - 1]]


def weights_of(store: Store, name: ModelName, kind: str = "model") -> gguf.GGUFMetadata:
    layer = next(layer for layer in store.model(name).manifest.layers if layer.kind == kind)
    return gguf.read(store.blobs.existing(layer.digest))


@pytest.mark.parametrize("model", ["bert", "mistral", "qwen3"])
def test_a_folder_becomes_a_model(model: str, store: Store, tmp_path: Path) -> None:
    files = uploaded(store, tiny.write(tmp_path / model, model))

    steps = list(create(store, Recipe(NAME, files=files)))

    assert told(steps) == ["converting model", "creating new layer", "writing manifest", "success"]
    moving = [step for step in steps if step.total]
    assert moving[-1].completed == moving[-1].total
    assert store.model(NAME).config.file_type == "F16"
    assert store.model(NAME).config.model_format == "gguf"


@pytest.mark.parametrize(("quantize", "told_type"), [("f32", "unknown"), ("bf16", "BF16")])
def test_full_types_are_written_at_once(
    quantize: str, told_type: str, store: Store, tmp_path: Path
) -> None:
    files = uploaded(store, tiny.write(tmp_path / "qwen2", "qwen2"))

    steps = list(create(store, Recipe(NAME, files=files, quantize=quantize)))

    assert "verifying conversion" not in told(steps)
    assert weights_of(store, NAME).file_type == told_type
    assert {t.type_name for t in weights_of(store, NAME).tensors} <= {quantize.upper(), "F32"}


def test_smaller_types_are_quantised_afterwards(store: Store, tmp_path: Path) -> None:
    files = uploaded(store, tiny.write(tmp_path / "qwen2", "qwen2"))

    steps = list(create(store, Recipe(NAME, files=files, quantize="q8_0")))

    assert told(steps) == ["converting model", "quantizing F16 model to Q8_0", "verifying conversion",
                           "creating new layer", "writing manifest", "success"]  # fmt: skip
    assert weights_of(store, NAME).file_type == "Q8_0"


def test_an_adapter_is_converted_for_the_model_below_it(store: Store, tmp_path: Path) -> None:
    base = ModelName.parse("base")
    files = uploaded(store, tiny.write(tmp_path / "llama", "llama-sentencepiece"))
    list(create(store, Recipe(base, files=files)))
    adapters = uploaded(store, tiny.write_adapter(tmp_path / "adapter", "llama"))

    steps = list(create(store, Recipe(NAME, source=base, adapters=adapters)))

    assert told(steps)[0] == "converting adapter"
    assert weights_of(store, NAME, "adapter").architecture == "llama"


def test_a_model_and_its_adapter_can_come_together(store: Store, tmp_path: Path) -> None:
    files = uploaded(store, tiny.write(tmp_path / "qwen2", "qwen2"))
    adapters = uploaded(store, tiny.write_adapter(tmp_path / "adapter", "qwen2"))

    list(create(store, Recipe(NAME, files=files, adapters=adapters)))

    assert [layer.kind for layer in store.model(NAME).manifest.layers][:2] == ["model", "adapter"]


def test_what_cannot_be_converted_leaves_no_model_and_no_file(store: Store, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "qwen2", "qwen2")
    (folder / "tokenizer.json").unlink()
    files = uploaded(store, folder)
    before = sorted(path.name for path in store.blobs.folder.iterdir())

    with pytest.raises(CannotConvert, match=r"no tokenizer.json"):
        list(create(store, Recipe(NAME, files=files)))

    assert store.manifests.of(NAME) is None
    assert sorted(path.name for path in store.blobs.folder.iterdir()) == before


def test_a_file_that_is_another_ones_folder_is_refused(store: Store, tmp_path: Path) -> None:
    files = uploaded(store, tiny.write(tmp_path / "qwen2", "qwen2"))
    files["config.json/more.json"] = files["config.json"]

    with pytest.raises(NamedTwice, match=r"config.json/more.json"):
        list(create(store, Recipe(NAME, files=files)))
