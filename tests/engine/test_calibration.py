"""What follows from measured times, how attention is measured, and what is kept of it."""

from __future__ import annotations

import ctypes
import itertools
import json
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import llama_cpp as ll
import numpy as np
import pytest
from ollama_nb_server.engine import engine
from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.hardware import choice, tuning
from ollama_nb_server.engine.hardware.attention_trial import AttentionTrial, Case
from ollama_nb_server.engine.hardware.calibration import (
    STEP,
    Stopwatch,
    attention_times,
    fewest_threads,
    shares,
    step_size,
    thread_counts,
    weighed,
)
from ollama_nb_server.engine.hardware.choice import Choice, Key
from ollama_nb_server.engine.hardware.devices import ggml_function
from ollama_nb_server.engine.kv_types import BYTES_PER_VALUE, Heads, cache_type
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import AbortSwitch, Batch, NativeLog

HEADS = Heads(4, 2, 32, 32)
KEY = Key("sha256-1", "a processor", "an engine", "16 x 1000")


# --- decisions ------------------------------------------------------------------------------------


def test_prompts_and_answers_alone_and_together_count():
    counted = shares(4096, 16)

    assert {(c.num_sequences, c.num_rows, c.num_cells) for c in counted} == {
        (1, 256, 256), (1, 1, 64), (1, 1, 1000), (16, 1, 64), (16, 1, 1000),
    }  # fmt: skip
    assert weighed(dict.fromkeys(counted, 1.0), counted) == 2 + 100 + 100 / 16


def test_a_short_context_is_measured_as_far_as_it_goes():
    assert {case.num_cells for case in shares(200, 4)} == {64, 200}
    assert sum(shares(64, 1).values()) == 2 + 200


@pytest.mark.parametrize(
    ("times", "threads"),
    [
        ({2: 0.03}, 2),
        ({8: 0.010, 6: 0.011, 4: 0.020}, 8),
        ({8: 0.020, 6: 0.012, 4: 0.011}, 4),
        ({8: 0.010, 6: 0.0105, 4: 0.0107}, 4),
    ],
)
def test_the_fewest_threads_that_are_hardly_slower_are_taken(times, threads):
    assert fewest_threads(times) == threads


def test_few_threads_are_not_tried_with_fewer():
    assert (thread_counts(1), thread_counts(2), thread_counts(3)) == ((1,), (2,), (3,))
    assert (thread_counts(4), thread_counts(16)) == ((2, 3, 4), (8, 12, 16))


def test_a_small_step_has_to_be_clearly_faster():
    assert step_size(0.0095, 0.01, 512) == 512
    assert step_size(0.0090, 0.01, 512) == STEP


# --- measuring ------------------------------------------------------------------------------------


def floats(tensor: int, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """What lies in a tensor, as an array that writes through."""
    address = ggml_function("ggml_get_data", ctypes.c_void_p, ctypes.c_void_p)(tensor)
    count = math.prod(shape) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * count).from_address(address), dtype).reshape(shape)


@pytest.mark.parametrize("case", [Case(1, 1, 64, 512), Case(3, 1, 300, 512), Case(1, 70, 100, 100)])
def test_both_ways_compute_the_same_attention(case):
    """All keys are zeros: every row is the mean of the values that it sees, its own stored here."""
    seqs, heads, length = case.num_sequences, HEADS.num_kv, HEADS.value_length
    values = np.random.default_rng(1).normal(size=(seqs, case.num_ctx, heads, length))
    new = values[:, case.num_cells - case.num_rows : case.num_cells].copy()
    old = values.copy()
    old[:, case.num_cells - case.num_rows : case.num_cells] = 100.0  # until it is stored over
    outputs = []
    for flash in (False, True):
        with closing(AttentionTrial(HEADS, case, flash=flash, threads=2, rounds=1)) as trial:
            layer = trial.layers[0]
            if flash:
                shape = seqs, case.num_padded, heads, length
                floats(layer.value, shape, np.float16)[:] = old[:, : case.num_padded]
            else:
                shape = seqs, heads, length, case.num_ctx
                floats(layer.value, shape, np.float16)[:] = old.transpose(0, 2, 3, 1)
            floats(layer.new, new.shape, np.float32)[:] = new
            assert trial.seconds() > 0
            shape = seqs, case.num_rows, HEADS.num, length
            outputs.append(floats(layer.output, shape, np.float32).copy())

    first_row = values[:, : case.num_cells - case.num_rows + 1].mean(axis=1)
    assert np.allclose(outputs[0][:, 0, ::2], first_row, atol=2e-3)
    assert np.allclose(outputs[0], outputs[1], atol=2e-3)


@pytest.mark.parametrize("flash", [False, True])
@pytest.mark.parametrize("length", [32, 256])
def test_many_threads_have_memory_for_every_round_and_none_for_more(flash, length):
    heads, case = Heads(2, 1, length, length), Case(2, 64, 64, 256)
    with closing(AttentionTrial(heads, case, flash=flash, threads=64, rounds=3)) as trial:
        assert all(trial.seconds() > 0 for _ in range(3))
        with pytest.raises(RuntimeError, match="another round"):
            trial.seconds()


def test_measuring_ends_in_time():
    ticks = itertools.count()
    watch = Stopwatch(limit_s=5, clock=lambda: next(ticks))

    assert attention_times(HEADS, shares(512, 4), 1, watch) is None
    assert next(ticks) < 10


def test_every_step_is_measured_in_both_ways():
    counted = shares(128, 2)

    times = attention_times(HEADS, counted, 1, Stopwatch(limit_s=600))

    assert set(times[True]) == set(times[False]) == set(counted)
    assert all(seconds > 0 for way in times.values() for seconds in way.values())


# --- what is kept ---------------------------------------------------------------------------------


def test_a_choice_is_found_again_by_its_key_only(tmp_path):
    made = Choice(True, 3, 512, ("because",))
    choice.keep(tmp_path / "new", KEY, made)

    assert choice.kept(tmp_path / "new", KEY) == made
    for other in ("model", "processor", "engine", "sizes"):
        assert choice.kept(tmp_path / "new", replace(KEY, **{other: "another"})) is None
    assert list(choice.all_kept(tmp_path / "new")) == [(KEY, made)]


BROKEN = {
    "empty": b"",
    "cut": b'{"form":2,"key":{"mod',
    "another form": b'{"form":99}',
    "a list": b"[]",
    "no sense": json.dumps(
        {
            "form": choice.FORM,
            "key": {"model": "sha256-1", "processor": "a processor", "engine": "an engine",
                    "sizes": "16 x 1000"},
            "choice": {"flash": 7, "threads": -1, "num_batch": "many", "why": []},
        }
    ).encode(),
}  # fmt: skip


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_no_choice_is_ignored_and_written_anew(tmp_path, data):
    path = tmp_path / KEY.file_name
    path.write_bytes(data)

    assert choice.kept(tmp_path, KEY) is None
    assert list(choice.all_kept(tmp_path)) == []

    choice.keep(tmp_path, KEY, Choice(False, 1, 512))
    assert choice.kept(tmp_path, KEY) == Choice(False, 1, 512)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    choice.keep(tmp_path / "file", KEY, Choice(False, 1, 512))

    assert "cannot be kept" in caplog.text


def test_a_blob_is_known_by_its_digest_and_another_file_by_its_version(tmp_path):
    blob, file = tmp_path / "sha256-12", tmp_path / "model.gguf"
    file.write_text("a")
    before = choice.identity(file)
    file.write_text("ab")

    assert choice.identity(blob) == "sha256-12"
    assert choice.identity(file) != before


# --- in a load ------------------------------------------------------------------------------------


@pytest.fixture
def loads(tmp_path, monkeypatch):
    """`loads(path, times, **spec)`: an engine whose attention takes these seconds off and on."""
    measured = []

    def load(path: Path, off_s: float = 1.0, on_s: float = 1.0, **wishes) -> Engine:
        def times(heads, cases, threads, watch):
            measured.append(threads)
            return {False: dict.fromkeys(cases, off_s), True: dict.fromkeys(cases, on_s)}

        monkeypatch.setattr(tuning, "attention_times", times)
        spec = {"num_ctx": 128, "num_parallel": 2, "calibration": str(tmp_path), **wishes}
        return Engine(LoadSpec(str(path), **spec), NativeLog(), AbortSwitch())

    load.measured = measured
    return load


@pytest.mark.parametrize(("on_s", "flash"), [(0.5, True), (2.0, False)])
def test_the_faster_attention_is_taken_and_kept(loads, q4_k_gguf, on_s, flash):
    with loads(q4_k_gguf, on_s=on_s) as loaded:
        assert (loaded.flash, loaded.choice.flash) == (flash, flash)
        assert "flash attention takes" in loaded.choice.why[0]
        first = loaded.choice
    with loads(q4_k_gguf, on_s=1 / on_s) as loaded:
        assert loaded.choice == first
        assert len(loads.measured) == 1


@pytest.mark.parametrize(
    ("on_s", "left", "is_kept"), [(0.95, 99, True), (0.95, 0, False), (0.5, 0, True)]
)
def test_beside_others_only_what_is_clear_is_kept(
    loads, q4_k_gguf, tmp_path, monkeypatch, on_s, left, is_kept
):
    monkeypatch.setattr(engine, "ThreadGovernor", lambda _: SimpleNamespace(threads=left))

    with loads(q4_k_gguf, on_s=on_s) as loaded:
        assert loaded.flash
    assert bool(list(choice.all_kept(tmp_path))) is is_kept


@pytest.mark.parametrize("said", [True, False])
def test_an_administrators_word_comes_before_what_was_measured(loads, q4_k_gguf, said):
    with loads(q4_k_gguf, on_s=2.0 if said else 0.5, flash=said) as loaded:
        assert loaded.flash is said


def test_tiny_models_recurrent_ones_and_loads_without_a_folder_measure_nothing(
    loads, demo_gguf, mamba_gguf, q4_k_gguf
):
    for path, wishes in ((demo_gguf, {}), (mamba_gguf, {}), (q4_k_gguf, {"calibration": ""})):
        with loads(path, on_s=0.1, **wishes) as loaded:
            assert loaded.flash is (path is not q4_k_gguf)
    assert loads.measured == []


def test_a_load_measures_really_and_what_it_keeps_is_whole(tmp_path, q4_k_gguf):
    spec = LoadSpec(str(q4_k_gguf), num_ctx=128, num_parallel=2, calibration=str(tmp_path))
    with Engine(spec, NativeLog(), AbortSwitch()) as loaded:
        made = loaded.choice

    assert made.why
    assert made.threads == loaded.threads(0)
    for _, kept in choice.all_kept(tmp_path):  # none, if others were computing all the time
        assert kept.why == made.why


def test_a_model_that_is_too_slow_for_its_steps_is_measured_by_one_token(
    loads, q4_k_gguf, monkeypatch
):
    decoded = []
    monkeypatch.setattr(tuning, "_decode", lambda context, batch, count: decoded.append(count))
    monkeypatch.setattr(tuning, "_seconds", lambda work: work() or 1.0)
    monkeypatch.setattr(tuning, "thread_counts", lambda _: (2, 3, 4))
    monkeypatch.setattr(engine, "ThreadGovernor", lambda _: SimpleNamespace(threads=99))

    with loads(q4_k_gguf, num_ctx=512) as loaded:
        assert loaded.choice.num_batch == 512
    assert decoded == [1]


def test_threads_are_the_fastest_of_those_tried(loads, q4_k_gguf, monkeypatch):
    used, seconds = [], iter([0.01, 0.04, 0.04, 0.02, 0.01, 0.03, 0.03, 9.0, 9.0, 9.0])
    monkeypatch.setattr(tuning.Context, "set_threads", lambda _, count: used.append(count))
    monkeypatch.setattr(tuning, "_seconds", lambda work: next(seconds))
    monkeypatch.setattr(tuning, "thread_counts", lambda _: (2, 3, 4))
    monkeypatch.setattr(engine, "ThreadGovernor", lambda _: SimpleNamespace(threads=99))

    with loads(q4_k_gguf, num_ctx=512) as loaded:
        assert (loaded.choice.threads, loaded.threads(0)) == (3, 3)
    assert used[:3] == [2, 3, 4]


def test_alone_a_prompt_takes_the_steps_that_were_chosen(loads, q4_k_gguf, monkeypatch):
    monkeypatch.setattr(tuning, "step_size", lambda *_: STEP)
    monkeypatch.setattr(tuning, "Stopwatch", lambda: Stopwatch(limit_s=600))
    with loads(q4_k_gguf, on_s=0.1, num_ctx=512) as loaded:
        assert loaded.planner.alone == loaded.choice.num_batch == STEP
    with loads(q4_k_gguf, on_s=0.1, num_ctx=512, num_batch=300) as loaded:
        assert loaded.planner.alone == 300


# --- attention that was asked for -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "flash", "heads", "had"),
    [
        ("f16", False, HEADS, "f16"),
        ("q8_0", None, HEADS, "q8_0"),
        ("q4_0", True, HEADS, "q4_0"),
        ("q8_0", False, HEADS, "f16"),
        ("q8_0", True, replace(HEADS, value_length=48), "f16"),
    ],
)
def test_a_cache_is_quantised_where_it_can_be(wanted, flash, heads, had):
    kind, warning = cache_type(wanted, flash, heads)

    assert kind == had
    assert bool(warning) is (wanted != had)


@pytest.mark.parametrize("kind", ["q8_0", "q4_0"])
def test_a_quantised_cache_computes_by_flash_attention_in_less_memory(q4_k_gguf, kind):
    told = {}
    for each in ("f16", kind):
        spec = LoadSpec(str(q4_k_gguf), num_ctx=2048, num_parallel=2, kv_cache_type=each)
        with Engine(spec, NativeLog(), AbortSwitch()) as loaded:
            told[each] = loaded.loaded()
            assert loaded.flash is (each != "f16")
            batch = Batch(64)
            batch.fill([(0, 0, [1] * 64, False)])
            loaded.context.decode(batch)
            taken = ll.llama_state_seq_get_size(loaded.context.pointer, 0)
            assert taken == pytest.approx(64 * loaded.model.kv_bytes(each), rel=0.1)

    saved = told["f16"].size_bytes - told[kind].size_bytes
    cells = 2 * 2048 * loaded.model.kv_bytes("f16")
    assert saved == pytest.approx(cells * (1 - BYTES_PER_VALUE[kind] / 2), rel=0.01)


def test_a_quantised_cache_without_flash_attention_is_a_warning(q4_k_gguf):
    spec = LoadSpec(str(q4_k_gguf), num_ctx=64, num_parallel=1, kv_cache_type="q8_0", flash=False)
    with Engine(spec, NativeLog(), AbortSwitch()) as loaded:
        warnings = loaded.loaded().warnings

    assert ["OLLAMA_KV_CACHE_TYPE=q8_0 needs" in warning for warning in warnings] == [True]
    assert loaded.kv_type == "f16"
