"""Tiny models that see, of random weights: text models and the projectors that belong to them.

`qwen2vl`: rows of an image have places in time, height and width (M-RoPE), and its size decides how
many there are. `gemma3`: an image's rows see each other, so that they are computed at once. `demo_eye`:
a LLaVA projector for the bundled model, whose rows are like tokens. What is written depends on every
row before it: each image has an answer of its own.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFWriter, LlamaFileType
from ollama_nb_server.library.bundled import DEMO
from PIL import Image
from random_models import LAYERS, RandomWeights, begin, end, written_once

WIDTH, HEADS, HIDDEN = 64, 2, 128  # of text models
HEAD = WIDTH // HEADS
EYE, EYE_HEADS, PATCH = 32, 2, 14  # of projectors
LOUD = 4.0  # how much larger than usual a random image is told than a token


def write_qwen2vl(path: Path) -> None:
    """Write a Qwen2-VL's text part."""
    writer = GGUFWriter(path, "qwen2vl")
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_dimension_sections([HEAD // 4, HEAD // 8, HEAD // 8, 0])
    add = begin(writer, WIDTH, np.float32)
    for block in (f"blk.{i}" for i in range(LAYERS)):
        add.vector(f"{block}.attn_norm.weight", WIDTH, 1)
        add.vector(f"{block}.ffn_norm.weight", WIDTH, 1)
        for name, size, scale in (("q", WIDTH, 2), ("k", HEAD, 2), ("v", HEAD, 1)):
            add.matrix(f"{block}.attn_{name}", (size, WIDTH), scale)
            add.vector(f"{block}.attn_{name}.bias", size, 0)
        _rest_of_block(add, block)
    end(writer)


def write_gemma3(path: Path) -> None:
    """Write a Gemma 3's text part."""
    writer = GGUFWriter(path, "gemma3")
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    add = begin(writer, WIDTH, np.float32)
    for block in (f"blk.{i}" for i in range(LAYERS)):
        for name in ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm"):
            add.vector(f"{block}.{name}.weight", WIDTH, 1)
        for name in ("attn_q_norm", "attn_k_norm"):
            add.vector(f"{block}.{name}.weight", HEAD, 1)
        for name, size in (("q", WIDTH), ("k", HEAD), ("v", HEAD)):
            add.matrix(f"{block}.attn_{name}", (size, WIDTH))
        _rest_of_block(add, block)
    end(writer)


def write_qwen2vl_eye(path: Path) -> None:
    """Write the projector of `qwen2vl`: two layers of patches, merged by fours."""
    writer = _eye(path, "qwen2vl_merger", image_size=560, width=WIDTH)
    add = RandomWeights(writer, np.float32)
    _patches(add, "v.patch_embd.weight", "v.patch_embd.weight.1")
    _tower(add)
    add.matrix("mm.0", (4 * EYE, 4 * EYE))
    add.vector("mm.0.bias", 4 * EYE, 0)
    add.matrix("mm.2", (WIDTH, 4 * EYE), LOUD)
    add.vector("mm.2.bias", WIDTH, 0)
    end(writer)


def write_gemma3_eye(path: Path) -> None:
    """Write the projector of `gemma3`: sixteen rows, whatever the image's size."""
    size = 8 * PATCH
    writer = _eye(path, "gemma3", image_size=size, width=WIDTH)
    writer.add_uint32("clip.vision.projector.scale_factor", 2)
    add = RandomWeights(writer, np.float32)
    _patches(add, "v.patch_embd.weight")
    _places(add, (size // PATCH) ** 2)
    _tower(add)
    add.vector("mm.soft_emb_norm.weight", EYE, 1)
    add.matrix("mm.input_projection", (EYE, WIDTH), LOUD)
    end(writer)


def write_demo_eye(path: Path, kind: str = "mlp", also: str = "") -> None:
    """Write a projector for the bundled model: 64 rows, whatever the image's size.

    Without a `kind`, in the dialect of the first projectors, which did not say theirs. `also` is one
    that llama.cpp does not look at beside it.
    """
    size = 8 * PATCH
    width = int(GGUFReader(DEMO).fields["llama.embedding_length"].contents())
    writer = _eye(path, kind, image_size=size, width=width)
    if also:
        writer.add_string("clip.vision.projector_type", also)
    add = RandomWeights(writer, np.float32)
    _patches(add, "v.patch_embd.weight")
    _places(add, (size // PATCH) ** 2 + 1)
    add.vector("v.class_embd", EYE, 0)
    _tower(add)
    add.matrix("mm.0", (EYE, EYE))
    add.vector("mm.0.bias", EYE, 0)
    add.matrix("mm.2", (width, EYE))
    add.vector("mm.2.bias", width, 0)
    end(writer)


def _rest_of_block(add: RandomWeights, block: str) -> None:
    add.matrix(f"{block}.attn_output", (WIDTH, WIDTH))
    add.matrix(f"{block}.ffn_gate", (HIDDEN, WIDTH))
    add.matrix(f"{block}.ffn_up", (HIDDEN, WIDTH))
    add.matrix(f"{block}.ffn_down", (WIDTH, HIDDEN))


def _eye(path: Path, kind: str, *, image_size: int, width: int) -> GGUFWriter:
    writer = GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name(f"random {kind}")
    writer.add_bool("clip.has_vision_encoder", True)
    if kind:
        writer.add_string("clip.projector_type", kind)
    writer.add_bool("clip.use_gelu", True)
    sizes = {
        "image_size": image_size,
        "patch_size": PATCH,
        "embedding_length": EYE,
        "feed_forward_length": 2 * EYE,
        "projection_dim": width,
        "attention.head_count": EYE_HEADS,
        "block_count": LAYERS,
    }
    for key, value in sizes.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5] * 3)
    writer.add_array("clip.vision.image_std", [0.5] * 3)
    return writer


def _patches(add: RandomWeights, *names: str) -> None:
    for name in names:
        add.tensor(name, (EYE, 3, PATCH, PATCH))


def _places(add: RandomWeights, count: int) -> None:
    add.matrix("v.position_embd", (count, EYE), np.sqrt(EYE))


def _tower(add: RandomWeights) -> None:
    """The layers of a vision transformer."""
    for block in (f"v.blk.{i}" for i in range(LAYERS)):
        for norm in ("ln1", "ln2"):
            add.vector(f"{block}.{norm}.weight", EYE, 1)
            add.vector(f"{block}.{norm}.bias", EYE, 0)
        for name, shape in (
            *((f"attn_{part}", (EYE, EYE)) for part in ("q", "k", "v", "out")),
            ("ffn_up", (2 * EYE, EYE)),
            ("ffn_down", (EYE, 2 * EYE)),
        ):
            add.matrix(f"{block}.{name}", shape)
            add.vector(f"{block}.{name}.bias", shape[0], 0)
    add.vector("v.post_ln.weight", EYE, 1)
    add.vector("v.post_ln.bias", EYE, 0)


FAMILIES = ("qwen2vl", "gemma3", "demo")


def written(folder: Path, family: str) -> tuple[Path, Path]:
    """The files of a model and its projector."""
    writers = {
        "qwen2vl": (write_qwen2vl, write_qwen2vl_eye),
        "gemma3": (write_gemma3, write_gemma3_eye),
    }
    if family == "demo":
        return DEMO, written_once(folder, write_demo_eye)
    text, eye = writers[family]
    return written_once(folder, text), written_once(folder, eye)


def noise(seed: int, width: int = 32, height: int = 32, kind: str = "PNG", **more: object) -> bytes:
    """An image of random colours in larger patches, as a file."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(num_bytes: int, width: int = 8, height: int = 8) -> bytes:
    """A PNG that says it is small, and whose data become so many bytes."""
    stream = zlib.compressobj(9)
    packed = b"".join(stream.compress(bytes(1 << 20)) for _ in range(num_bytes >> 20))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", packed + stream.flush()), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)
