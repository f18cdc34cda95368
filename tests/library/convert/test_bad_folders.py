"""Folders that cannot be converted: each is refused with a sentence that says why."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_tokenizers as tokens
from ollama_nb_server.library.convert.adapter import convert_adapter
from ollama_nb_server.library.convert.errors import (
    BadAdapter,
    BadConfig,
    BadFolder,
    BadTokenizer,
    BadWeights,
    CannotConvert,
    UnsupportedArchitecture,
)
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.model import convert_model

Spoil = Callable[[Path], object]


def spoiled(folder: Path, model: str, spoil: Spoil) -> None:
    """Convert a model after something was done to its folder."""
    tiny.write(folder / "model", model)
    spoil(folder / "model")
    list(convert_model(Folder(folder / "model"), folder / "out.gguf", "F16"))


def edit(name: str, **values: Any) -> Spoil:
    """Change values of a JSON file; ... takes one out."""

    def spoil(folder: Path) -> None:
        found = {**json.loads((folder / name).read_text()), **values}
        kept = {key: value for key, value in found.items() if value is not ...}
        (folder / name).write_text(json.dumps(kept))

    return spoil


def put(name: str, content: str | bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(
        content.encode() if isinstance(content, str) else content
    )


def remove(*names: str) -> Spoil:
    return lambda folder: [(folder / name).unlink() for name in names]


def both(*spoils: Spoil) -> Spoil:
    return lambda folder: [spoil(folder) for spoil in spoils]


def weigh(kind: str = "BF16", **shapes: tuple[int, ...] | None) -> Spoil:
    """Other shapes for some tensors (`__` for a point); None takes one out."""

    def spoil(folder: Path) -> None:
        changed = {name.replace("__", "."): shape for name, shape in shapes.items()}
        wanted = {**tiny.MODELS["mistral"].shapes, **changed}
        kept = {name: shape for name, shape in wanted.items() if shape is not None}
        for file in folder.glob("*.safetensors*"):
            file.unlink()
        tiny.save(folder / "model.safetensors", tiny.weights("x", kept), kind)

    return spoil


def header(text: str | bytes, length: int | None = None, data: bytes = bytes(64)) -> Spoil:
    """A safetensors file with this header."""
    raw = text.encode() if isinstance(text, str) else text
    content = struct.pack("<Q", len(raw) if length is None else length) + raw + data
    return both(weigh(), put("model.safetensors", content))


def tensor(
    start: int, end: int, kind: str = "F32", shape: tuple[int, ...] = (8,)
) -> dict[str, Any]:
    return {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}


Q_PROJ = "model__layers__0__self_attn__q_proj__weight"
INDEX = "model.safetensors.index.json"
SHARD = "model-00001-of-00003.safetensors"


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        # config.json
        (put("config.json", "{"), BadFolder, "config.json is no JSON"),
        (put("config.json", b"\xff\xfe"), BadFolder, "no UTF-8"),
        (put("config.json", "[]"), BadFolder, "JSON object"),
        (put("config.json", "[" * 100_000), BadFolder, "no JSON"),
        (edit("config.json", architectures=["WhisperForConditionalGeneration"]),
         UnsupportedArchitecture, '^unsupported architecture "WhisperForConditionalGeneration"$'),
        (edit("config.json", architectures=["BertForMaskedLM"]), UnsupportedArchitecture, "BertForMaskedLM"),
        (edit("config.json", architectures=["BertForSequenceClassification"]), UnsupportedArchitecture, "Classification"),
        (edit("config.json", architectures=...), UnsupportedArchitecture, 'unsupported architecture ""'),
        (edit("config.json", hidden_size=...), BadConfig, "`hidden_size` is missing"),
        (edit("config.json", hidden_size="32"), BadConfig, "`hidden_size` is '32', not a number"),
        (edit("config.json", num_hidden_layers=10**9), BadConfig, "from 1 to 1024"),
        (edit("config.json", rms_norm_eps=float("nan")), BadConfig, "no number"),
        (edit("config.json", rope_scaling={"rope_type": "magic"}), BadConfig, "'magic' is not known"),
        (edit("config.json", rope_scaling="yes"), BadConfig, "not an object"),
        (edit("config.json", hidden_act="relu"), BadConfig, "'relu' is not the one of llama"),
        (edit("config.json", quantization_config={"quant_method": "gptq"}), BadConfig, "quantised"),
        (edit("config.json", tie_word_embeddings=False, num_hidden_layers=1), BadWeights, "is not known"),
        # which files
        (remove(SHARD), BadFolder, f"{SHARD} is missing, but the index names it"),
        (edit(INDEX, weight_map={}), BadFolder, "no weight_map"),
        (edit(INDEX, weight_map={"a": "../../x.safetensors"}), BadFolder, "outside its folder"),
        (edit(INDEX, weight_map={"a": SHARD}), BadWeights, "1 tensors of the index are missing, such as a"),
        (both(remove(INDEX), lambda folder: (folder / "model-2.safetensors").symlink_to(folder / SHARD)),
         BadWeights, "both .* hold"),
        (both(weigh(), remove("model.safetensors")), BadFolder, "no .safetensors file"),
        (both(weigh(), remove("model.safetensors"), put("pytorch_model.bin", b"\x80\x04")),
         BadFolder, "pytorch_model.bin is a pickle.*safe_serialization=True"),
        # tensors
        (weigh(**{Q_PROJ: None}), BadWeights, r"1 tensors are missing, such as blk.0.attn_q.weight"),
        (weigh(**{Q_PROJ: (32, 32)}), BadWeights, "has the shape 32x32, config.json means 64x32"),
        (weigh(**{Q_PROJ: (64,)}), BadWeights, "has the shape 64,"),
        (weigh(model__layers__0__extra__weight=(4,)), BadWeights, "extra.weight is not known"),
        (both(weigh(lm_head__weight=None), edit("config.json", tie_word_embeddings=False)),
         BadWeights, "output.weight"),
        (weigh(kind="F64", model__norm__weight=(33,)), BadWeights, "has the shape 33"),
        # safetensors headers
        (put(SHARD, b""), BadWeights, "no whole safetensors file"),
        (put(SHARD, bytes(7)), BadWeights, "no whole safetensors file"),
        (lambda folder: (folder / SHARD).write_bytes((folder / SHARD).read_bytes()[:-1]),
         BadWeights, f"{SHARD} is no whole safetensors file"),
        (header("{}", length=1 << 62), BadWeights, "no whole safetensors file"),
        (header("{", length=None), BadWeights, "no whole safetensors file"),
        (header(b"\xff\xff"), BadWeights, "no whole safetensors file"),
        (header(json.dumps({"a": tensor(0, 32), "b": tensor(16, 48)})), BadWeights, "no whole"),
        (header(json.dumps({"a": tensor(32, 0)})), BadWeights, "no whole"),
        (header(json.dumps({"a": tensor(0, 1 << 60, shape=(1 << 58,))})), BadWeights, "no whole"),
        (header(json.dumps({"a": tensor(0, 64, shape=(1 << 40, 1 << 40))})), BadWeights, "no whole"),
        (header(json.dumps({"a": tensor(0, 64, kind="X9")})), BadWeights, "no whole"),
        # the tokenizer
        (remove("tokenizer.model"), BadTokenizer, "no tokenizer.json, tokenizer.model or vocab.txt"),
        (put("tokenizer.model", b""), BadTokenizer, "no pieces"),
        (put("tokenizer.model", b"version https://git-lfs"), BadTokenizer, "no SentencePiece model"),
        (put("tokenizer.model", tokens.message(1, b"\x0a\xff\xff\x03a")), BadTokenizer, "longer than"),
        (put("tokenizer.model", b"\xff" * 11), BadTokenizer, "too long"),
        (put("tokenizer.model", tokens.sentencepiece() + tokens.piece("x", 0)), BadTokenizer,
         "the tokenizer has 268 tokens, the model's embedding has 267"),
        (put("tokenizer.model", tokens.piece("x", 0, kind=9)), BadTokenizer, "a piece of type 9"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    spoil: Spoil, error: type[CannotConvert], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        spoiled(tmp_path, "mistral", spoil)


BERT, QWEN = "bert", "qwen3"


@pytest.mark.parametrize(
    ("model", "spoil", "error", "says"),
    [
        (QWEN, edit("tokenizer.json", pre_tokenizer=tokens.split("x+")), BadTokenizer, "pre-tokenizer that is not known"),
        (QWEN, edit("tokenizer.json", pre_tokenizer=None), BadTokenizer, "not known here .none"),
        (QWEN, edit("tokenizer.json", model={"type": "Unigram", "vocab": []}), BadTokenizer, "the kind Unigram"),
        (QWEN, edit("tokenizer.json", model={"type": "BPE", "vocab": {"a": -1}}), BadTokenizer, "no table"),
        (QWEN, edit("tokenizer.json", model={"type": "BPE", "vocab": {"a": 9999}}), BadTokenizer, "has 10000 tokens"),
        (QWEN, edit("tokenizer.json", added_tokens=[{"id": "x"}]), BadTokenizer, "`added_tokens` cannot be read"),
        (QWEN, edit("tokenizer.json", model={"type": "BPE", "vocab": {"a": 0}, "merges": ["ab"]}), BadTokenizer, "pairs"),
        (QWEN, edit("tokenizer.json", model={"type": "BPE", "vocab": {"a": 0}, "merges": [1.5]}), BadTokenizer, "pairs"),
        (QWEN, edit("tokenizer.json", model={"type": "BPE", "vocab": {"a": 0}, "merges": 7}), BadTokenizer, "pairs"),
        (QWEN, put("modules.json", "{}"), BadFolder, "no list of modules"),
        (QWEN, put("modules.json", '[{"type": "x.WeightedLayerPooling", "path": "1"}]'), BadFolder, "'WeightedLayerPooling' cannot"),
        (QWEN, put("modules.json", '[{"type": "x.Pooling", "path": "../1"}]'), BadFolder, "outside its own"),
        (QWEN, put("modules.json", '[{"type": "x.Pooling", "path": "2"}]'), BadFolder, "2/config.json is missing"),
        (QWEN, edit("1_Pooling/config.json", pooling_mode_max_tokens=True), BadFolder, "mean and max"),
        (BERT, edit("config.json", position_embedding_type="relative_key"), BadConfig, "only 'absolute'"),
        (BERT, edit("tokenizer.json", model={"type": "BPE", "vocab": {}, "byte_fallback": True}), BadTokenizer, "no tokens"),
        (BERT, both(remove("tokenizer.json"), put("vocab.txt", "\n".join(map(str, range(99))))), BadTokenizer, "has 99 tokens"),
        ("nomic-bert", edit("config.json", prenorm=True), BadConfig, "`prenorm`"),
        ("phi3", edit("config.json", rope_scaling={"type": "longrope", "long_factor": [1.0], "short_factor": [1.0]}),
         BadConfig, "`long_factor` does not hold 4 numbers"),
        ("phi3", edit("config.json", original_max_position_embeddings=1), BadConfig, "`original_max_position_embeddings` is 1"),
        ("gemma-embedding", remove("3_Dense/model.safetensors"), BadWeights, "3_Dense/model.safetensors is missing"),
        ("gemma-embedding", lambda folder: tiny.save(folder / "3_Dense/model.safetensors", {"linear.weight": np.ones((4, 4), np.float32)}),
         BadWeights, "two dense layers"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_other_models_is_said(
    model: str, spoil: Spoil, error: type[CannotConvert], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        spoiled(tmp_path, model, spoil)


def test_an_older_vocabulary_without_tokenizer_json_will_do(tmp_path: Path) -> None:
    spoiled(tmp_path, BERT, remove("tokenizer.json"))

    assert (tmp_path / "out.gguf").stat().st_size > 0


def test_values_beyond_f16_are_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "model", "llama-byte-fallback")
    values = tiny.weights("x", tiny.MODELS["llama-byte-fallback"].shapes)
    values["lm_head.weight"][3, 3] = 70_000
    tiny.save(folder / "model.safetensors", values)

    with pytest.raises(BadWeights, match=r"output.weight holds values beyond F16.*`quantize`"):
        list(convert_model(Folder(folder), tmp_path / "out.gguf", "F16"))
    assert list(convert_model(Folder(folder), tmp_path / "out.gguf", "BF16"))


# --- adapters -------------------------------------------------------------------------------------


def adapt(folder: Path, base: str = "llama-sentencepiece", **settings: Any) -> None:
    """Convert an adapter as it lies in the folder, or a whole one."""
    list(convert_model(Folder(tiny.write(folder / "base", base)), folder / "base.gguf", "F16"))
    if not (folder / "adapter").exists():
        tiny.write_adapter(folder / "adapter", "llama", **settings)
    list(convert_adapter(Folder(folder / "adapter"), folder / "out.gguf", folder / "base.gguf"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"use_dora": True}, "`use_dora` is True"),
        ({"peft_type": "IA3"}, "`peft_type` is 'IA3'"),
        ({"modules_to_save": ["lm_head"]}, "`modules_to_save`"),
        ({"alpha_pattern": {"q_proj": 3}}, "`alpha_pattern`"),
        ({"lora_alpha": None}, "`lora_alpha` is missing"),
        ({"lora_alpha": "8"}, "`lora_alpha` is '8', not a number"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(
    settings: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(CannotConvert, match=says):
        adapt(tmp_path, **settings)


@pytest.mark.parametrize(
    ("name", "shape", "says"),
    [
        ("layers.0.self_attn.q_proj.lora_A.weight", None, "only one of LoRA's two"),
        ("layers.0.self_attn.q_proj.lora_A.weight", (4, 31), "do not change a matrix of the shape"),
        ("layers.0.self_attn.q_proj.lora_A.weight", (3, 32), "do not change a matrix of the shape"),
        ("embed_tokens.weight", (267, 32), "not one of LoRA's two"),
        ("layers.9.self_attn.q_proj.lora_A.weight", (4, 32), "only one of LoRA's two"),
        ("layers.0.self_attn.x_proj.lora_A.weight", (4, 32), "only one of LoRA's two"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    name: str, shape: tuple[int, ...] | None, says: str, tmp_path: Path
) -> None:
    shapes = {**tiny.lora_shapes(), f"base_model.model.model.{name}": shape}
    kept = {name: shape for name, shape in shapes.items() if shape is not None}
    tiny.write_adapter(tmp_path / "adapter", "llama")
    tiny.save(tmp_path / "adapter/adapter_model.safetensors", tiny.weights("x", kept))

    with pytest.raises(BadAdapter, match=says):
        adapt(tmp_path)


def test_an_adapter_for_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedArchitecture, match="bert"):
        adapt(tmp_path, base="bert")


def test_an_adapter_for_a_smaller_model_is_refused(tmp_path: Path) -> None:
    shapes = {f"base_model.model.model.layers.9.self_attn.q_proj.lora_{half}.weight": shape
              for half, shape in {"A": (4, 32), "B": (32, 4)}.items()}  # fmt: skip
    tiny.write_adapter(tmp_path / "adapter", "llama")
    tiny.save(tmp_path / "adapter/adapter_model.safetensors", tiny.weights("x", shapes))

    with pytest.raises(BadAdapter, match=r"layers.9.self_attn.q_proj is not in the model"):
        adapt(tmp_path)
