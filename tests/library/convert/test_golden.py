"""Our files against those of llama.cpp's own converter, as tools/record_conversions.py kept them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from described import described
from ollama_nb_server.library.convert.adapter import convert_adapter
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.model import convert_model

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden.json").read_text())

# Keys that differ on purpose, everywhere or in some models, and why.
EVERYWHERE = {
    "general.name": "made of the folder's name, and ours has a temporary one",
    "general.size_label": "a label for file names; the size is counted where it is shown",
    "tokenizer.ggml.unknown_token_id": "theirs finds a token's text among the added tokens only, "
    "ours in the whole vocabulary",
}
IN_SOME = {
    ("llama", "tokenizer.ggml.eot_token_id"): "generation_config.json, which theirs does not read",
    ("llama-f32", "tokenizer.ggml.eot_token_id"): "the same",
    ("llama-byte-fallback", "tokenizer.ggml.scores"): "theirs are all -1000, so that merges lose "
    "their order; ours are the ranks (see test_tokenizing)",
    ("llama-byte-fallback", "tokenizer.ggml.token_type"): "theirs says that <unk> is a control token",
    ("rounded-bf16", "tokenizer.ggml.scores"): "the same",
    ("rounded-bf16", "tokenizer.ggml.token_type"): "the same",
    ("mixtral", "llama.attention.key_length"): "said by ours always; it is what is assumed without",
    ("mixtral", "llama.attention.value_length"): "the same",
    ("gemma", "gemma.rope.freq_base"): "theirs leaves it to the engine's default",
    ("gemma2", "gemma2.rope.freq_base"): "the same",
    ("gemma", "tokenizer.ggml.eot_token_id"): "theirs gives CodeGemma's ids to every Gemma",
    ("phi3", "tokenizer.ggml.token_type"): "<|...|> is a control token for us in every model, for "
    "theirs in all but this",
}  # fmt: skip


def alike(name: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Without the keys that differ on purpose."""
    return {k: v for k, v in keys.items() if k not in EVERYWHERE and (name, k) not in IN_SOME}


@pytest.mark.parametrize(
    ("name", "model", "kind"),
    [(name, name, "F16") for name in tiny.MODELS] + [(k, *v) for k, v in tiny.OTHER_TYPES.items()],
)
def test_a_model_becomes_what_llama_cpp_makes_of_it(
    name: str, model: str, kind: str, tmp_path: Path
) -> None:
    folder = tiny.write(tmp_path / model, model)

    *_, last = convert_model(Folder(folder), tmp_path / "ours.gguf", kind)
    ours = described(tmp_path / "ours.gguf")

    assert last[0] == last[1] > 0
    assert ours["tensors"] == GOLDEN[name]["tensors"]
    assert alike(name, ours["keys"]) == alike(name, GOLDEN[name]["keys"])


@pytest.mark.parametrize("name", tiny.ADAPTERS)
def test_an_adapter_becomes_what_llama_cpp_makes_of_it(name: str, tmp_path: Path) -> None:
    base = tiny.ADAPTERS[name]
    list(convert_model(Folder(tiny.write(tmp_path / base, base)), tmp_path / "base.gguf", "F16"))
    folder = tiny.write_adapter(tmp_path / "adapter", name)

    list(convert_adapter(Folder(folder), tmp_path / "ours.gguf", tmp_path / "base.gguf"))
    ours = described(tmp_path / "ours.gguf")

    assert ours["tensors"] == GOLDEN[f"{name}-adapter"]["tensors"]
    assert alike(name, ours["keys"]) == alike(name, GOLDEN[f"{name}-adapter"]["keys"])


def test_every_difference_on_purpose_is_one(tmp_path: Path) -> None:
    different = set()
    for name in tiny.MODELS:
        target = tmp_path / f"{name}.gguf"
        list(convert_model(Folder(tiny.write(tmp_path / name, name)), target, "F16"))
        ours, theirs = described(target)["keys"], GOLDEN[name]["keys"]
        different |= {
            (name, key) for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)
        }

    assert {entry for entry in IN_SOME if entry[0] in tiny.MODELS} <= different
    assert {key for _, key in different} >= EVERYWHERE.keys()


def test_equal_folders_give_equal_files(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "mistral", "mistral")
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for place, path in enumerate(sorted(folder.glob("*.safetensors"), reverse=True)):
        (renamed / f"model-{place}.safetensors").symlink_to(path)
    for path in folder.glob("*.json"):
        if "index" not in path.name:
            (renamed / path.name).symlink_to(path)
    (renamed / "tokenizer.model").symlink_to(folder / "tokenizer.model")

    list(convert_model(Folder(folder), tmp_path / "one.gguf", "F16"))
    list(convert_model(Folder(renamed), tmp_path / "other.gguf", "F16"))

    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "other.gguf").read_bytes()
