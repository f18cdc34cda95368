"""Values on their way from a safetensors file to GGUF's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
from ollama_nb_server.library.convert.errors import BadWeights
from ollama_nb_server.library.convert.tensors import F16, F32, KINDS, Planned, kind_of, rotary
from ollama_nb_server.library.convert.weights import CHUNK_VALUES, Stored, read

ROWS, COLUMNS = 1000, CHUNK_VALUES // 400  # two and a half chunks


def stored(folder: Path, kind: str) -> tuple[Stored, np.ndarray]:
    """A matrix in a file, and its values."""
    values = np.random.default_rng(1).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    path = folder / "model.safetensors"
    tiny.save(path, {"first": np.ones(3, np.float32), "matrix": values}, kind)
    exact = {
        "BF16": (values.view(np.uint32) >> 16 << 16).view(np.float32),
        "F16": values.astype(np.float16),
    }
    return read([path])["matrix"], exact.get(kind, values).astype(np.float32)


@pytest.mark.parametrize("kind", ["F64", "F32", "F16", "BF16"])
def test_a_matrix_is_read_in_chunks_and_put_together(kind: str, tmp_path: Path) -> None:
    source, values = stored(tmp_path, kind)

    planned = Planned("m", (ROWS, COLUMNS), F32, (source,))

    assert len(list(source.chunks())) == 3
    assert np.array_equal(planned.data().reshape(ROWS, COLUMNS), values)


def test_what_is_done_to_a_matrix_is_done_across_chunks(tmp_path: Path) -> None:
    source, values = stored(tmp_path, "BF16")

    planned = Planned("m", (ROWS, COLUMNS), F16, (source,), shift=1.0, heads=10)

    assert np.array_equal(planned.data(), rotary((values + 1).astype(np.float16), 10))


def test_rotary_rows_go_from_halves_to_pairs() -> None:
    rows = np.arange(8).reshape(8, 1)

    assert rotary(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_a_head_without_halves_is_refused() -> None:
    with pytest.raises(BadWeights, match="halves of 2 heads"):
        rotary(np.ones((6, 4)), 2)


def test_whole_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(tiny.raw_file({"a": ("I64", (2,), bytes(16))}))
    source = read([tmp_path / "a.safetensors"])["a"]

    with pytest.raises(BadWeights, match="a is stored as I64: only F64, F32, F16, BF16"):
        list(source.chunks())


def test_a_file_that_shrinks_meanwhile_is_refused(tmp_path: Path) -> None:
    source, _ = stored(tmp_path, "F32")
    source.path.write_bytes(source.path.read_bytes()[:-8])

    with pytest.raises(BadWeights, match="ends inside matrix"):
        list(source.chunks())


@pytest.mark.parametrize(
    ("name", "dims", "kind"),
    [
        ("blk.0.attn_q.weight", 2, "F16"),
        ("blk.0.ffn_up_exps.weight", 3, "F16"),
        ("output.weight", 2, "F16"),
        ("blk.0.attn_norm.weight", 1, "F32"),
        ("blk.0.attn_q.bias", 1, "F32"),
        ("blk.0.ffn_gate_inp.weight", 2, "F32"),
        ("token_types.weight", 2, "F32"),
        ("position_embd.weight", 2, "F32"),
    ],
)
def test_which_tensors_stay_f32(name: str, dims: int, kind: str) -> None:
    assert kind_of(name, dims, F16) == KINDS[kind]
