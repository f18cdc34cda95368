"""Loads that make do with the memory there is: what does not fit on the GPUs stays with the CPU.

How much fits is `hardware.fitting`'s estimate; where it was too good, less is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.errors import NotEnoughMemory
from ollama_nb_server.engine.hardware.devices import Devices, NativeDevices
from ollama_nb_server.engine.hardware.fitting import ModelSize, Placement, placed, usable
from ollama_nb_server.engine.limits import MIN_CTX
from ollama_nb_server.engine.load_progress import LoadProgress
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import AbortSwitch, Model, NativeLog

ALL_LAYERS = -1
SURE, AMPLE = 2, 4 << 30  # a file that fits so many times, and so much, needs no closer look


def load(
    spec: LoadSpec,
    log: NativeLog,
    abort: AbortSwitch,
    devices: Devices | None = None,
    progress: LoadProgress | None = None,
) -> Engine:
    """A loaded model, with as many layers on GPUs as were asked for and as fit.

    `progress` counts the weights of each attempt anew.

    Raises
    ------
    LoadFailed, NotEnoughMemory
        The latter if it does not even fit the host, or not as asked for where it has to (`whole`).
    """
    devices = devices or NativeDevices()
    failed: NotEnoughMemory | None = None
    for wanted in _attempts(spec, log, devices):
        if progress is not None:
            progress.restart()
        try:
            engine = Engine(wanted, log, abort, devices, progress)
        except NotEnoughMemory as error:
            if spec.whole:
                raise
            failed = error
            continue
        if wanted.num_gpu != spec.num_gpu and wanted.num_gpu < _asked(spec, engine.model):
            engine.warnings.append(fewer_layers(wanted.num_gpu, engine.model.num_layers))
        return engine
    assert failed is not None, "there is always an attempt"
    raise failed


def fewer_layers(had: int, most: int) -> str:
    """The warning of a load that got fewer layers onto GPUs than it was to have."""
    return (
        f"GPU memory is short: {had} of {most} layers are on the GPU, the CPU computes the others"
    )


def too_many_layers(fitting: int, most: int) -> str:
    """Why a load fails that is to be whole."""
    return f"{fitting} of {most} layers fit on the GPU"


def _asked(spec: LoadSpec, model: Model | ModelSize) -> int:
    return model.num_layers if spec.num_gpu < 0 else min(spec.num_gpu, model.num_layers)


def _attempts(spec: LoadSpec, log: NativeLog, devices: Devices) -> Iterator[LoadSpec]:
    """The load as it should fit, and then smaller and smaller ones."""
    gpus = devices.gpus() if spec.num_gpu else []
    if not gpus or not 0 <= (spec.main_gpu or 0) < len(gpus):  # the latter llama.cpp refuses
        yield spec
        return
    room = usable((gpu.free_bytes for gpu in gpus), spec.gpu_overhead)
    if spec.main_gpu is not None:
        room = [free if number == spec.main_gpu else 0 for number, free in enumerate(room)]
    spread = spec.sched_spread and spec.main_gpu is None
    if spec.num_gpu < 0 and not spread and _surely_fits(spec, max(room)):
        yield _on(spec, Placement(ALL_LAYERS, room.index(max(room))))
    size = _size(spec, log)
    first = placed(size, room, _asked(spec, size), spread=spread)
    if spec.whole and first.num_layers < _asked(spec, size):
        raise NotEnoughMemory(spec.model_path, too_many_layers(first.num_layers, size.num_layers))
    yield _on(spec, first)
    for less in first.smaller():
        yield _on(spec, less)


def _surely_fits(spec: LoadSpec, free_bytes: int) -> bool:
    return SURE * Path(spec.model_path).stat().st_size + AMPLE < free_bytes


def _on(spec: LoadSpec, placement: Placement) -> LoadSpec:
    gpu = placement.gpu if spec.main_gpu is None else spec.main_gpu
    return replace(spec, num_gpu=placement.num_layers, main_gpu=gpu)


def _size(spec: LoadSpec, log: NativeLog) -> ModelSize:
    """What the model takes, by its file's header: no weights are read."""
    with closing(Model(spec, log, facts_only=True)) as model:
        num_ctx = max(MIN_CTX, min(spec.num_ctx, model.num_ctx_train))
        return ModelSize(
            weight_bytes=model.size_bytes,
            num_layers=model.num_layers,
            slot_bytes=num_ctx * model.kv_bytes_per_token,
            compute_bytes=model.compute_bytes(min(spec.num_batch, num_ctx)),
        )
