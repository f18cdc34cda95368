"""Loads on machines with little memory: the engine is real, the figures of memory are told to it.

No GPU is here. A fake says what one would report; what is computed, is computed on the CPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ollama_nb_server.engine import engine as engine_module
from ollama_nb_server.engine import fallbacks
from ollama_nb_server.engine.engine import Engine, fewer_slots
from ollama_nb_server.engine.errors import NotEnoughMemory
from ollama_nb_server.engine.hardware.devices import DeviceMemory, NativeDevices, _devices
from ollama_nb_server.engine.hardware.fitting import GPU_RESERVE
from ollama_nb_server.engine.hardware.host_memory import HostMemory
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import AbortSwitch, Context, NativeLog, generation_context
from serving import Serving

MIB, GIB = 1 << 20, 1 << 30


class FakeDevices:
    """A machine of so much free memory; `gpus_after` is what its GPUs report behind the weights."""

    def __init__(self, host: int, *gpus: int, gpus_after: tuple[int, ...] = ()) -> None:
        self._host, self._gpus, self._after, self.asked = host, gpus, gpus_after or gpus, 0

    def gpus(self) -> list[DeviceMemory]:
        self.asked += 1
        free = self._gpus if self.asked <= 2 else self._after  # once for the plan
        return [DeviceMemory(f"GPU{number}", bytes_, GIB) for number, bytes_ in enumerate(free)]

    def host(self) -> HostMemory:
        return HostMemory(self._host, self._host)


@pytest.fixture
def spec(demo_gguf: Path) -> LoadSpec:
    return LoadSpec(str(demo_gguf), num_ctx=512)


def loaded(spec: LoadSpec, devices: FakeDevices) -> Engine:
    return fallbacks.load(spec, NativeLog(), AbortSwitch(), devices)


@pytest.fixture(scope="module")
def sizes(demo_gguf: Path) -> tuple[int, int]:
    """Bytes of a slot of 512 tokens, and of a batch's computation."""
    with Engine(LoadSpec(str(demo_gguf), num_ctx=512), NativeLog(), AbortSwitch()) as engine:
        model = engine.model
        return 512 * model.kv_bytes_per_token, model.compute_bytes(engine.num_batch)


def test_the_cpu_has_the_hosts_memory() -> None:
    ((kind, cpu),) = _devices()

    assert (kind, cpu.name) == (0, "CPU")
    assert 0 < cpu.free_bytes <= cpu.total_bytes
    assert NativeDevices().gpus() == []
    assert NativeDevices().host().total_bytes == HostMemory.now().total_bytes


def test_little_memory_gives_few_slots(spec: LoadSpec, sizes: tuple[int, int]) -> None:
    slot, compute = sizes
    with loaded(spec, FakeDevices(compute + 4 * 3 * slot)) as engine:
        assert engine.loaded().num_parallel == 3
        assert engine.loaded().warnings == ()


def test_slots_that_were_asked_for_and_do_not_fit_are_a_warning(
    spec: LoadSpec, sizes: tuple[int, int]
) -> None:
    slot, compute = sizes
    with loaded(replace(spec, num_parallel=8), FakeDevices(compute + 5 * slot)) as engine:
        assert engine.loaded().num_parallel == 5
        assert engine.loaded().warnings == (fewer_slots(8, 5),)


@pytest.mark.parametrize("num_parallel", [0, 4])
def test_no_memory_for_one_slot_is_refused(
    spec: LoadSpec, sizes: tuple[int, int], num_parallel: int
) -> None:
    with pytest.raises(NotEnoughMemory, match=r"GiB are free; a smaller num_ctx takes less"):
        loaded(replace(spec, num_parallel=num_parallel), FakeDevices(sizes[1] + sizes[0] - 1))


def test_a_load_that_is_to_be_whole_is_not_made_smaller(
    spec: LoadSpec, sizes: tuple[int, int]
) -> None:
    slot, compute = sizes
    with pytest.raises(NotEnoughMemory):
        loaded(replace(spec, num_parallel=8, whole=True), FakeDevices(compute + 5 * slot))


def test_a_context_that_cannot_be_made_is_tried_with_fewer_slots(
    spec: LoadSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def made(*model: object, num_parallel: int, **wishes: object) -> Context:
        tried.append(num_parallel)
        if num_parallel > 1:
            raise NotEnoughMemory("the context", "failed to allocate buffer for kv cache")
        return generation_context(*model, num_parallel=num_parallel, **wishes)

    monkeypatch.setattr(engine_module, "generation_context", made)
    with loaded(replace(spec, num_parallel=12), FakeDevices(GIB)) as engine:
        assert tried == [4, 2, 1]
        assert engine.loaded().warnings == (fewer_slots(12, 1),)


SHORT = """
import json, resource, sys
from ollama_nb_server.engine import fallbacks
from ollama_nb_server.engine.hardware.host_memory import HostMemory
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import AbortSwitch, Batch, NativeLog

class Devices:
    def gpus(self): return []
    def host(self): return HostMemory(1 << 40, 1 << 40)  # the estimate is too good

def told(num_parallel):
    spec = LoadSpec(sys.argv[1], num_ctx=2048, num_parallel=num_parallel)
    with fallbacks.load(spec, NativeLog(), AbortSwitch(), Devices()) as engine:
        engine.grow(num_parallel)
        engine._prove(engine.context, Batch(64))
        return engine.kv_cache.num_slots

told(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), -1))
try:
    print(json.dumps(told(256)))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def told_where_memory_is_short(demo_gguf: Path, free_bytes: int) -> Any:
    """What a process gets that asks for 256 slots of 3 MiB and has addresses for so much."""
    command = [sys.executable, "-c", SHORT, str(demo_gguf), str(free_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of addresses to set")
def test_a_larger_context_that_cannot_be_made_leaves_the_smaller_one(demo_gguf: Path) -> None:
    assert told_where_memory_is_short(demo_gguf, 2000 * MIB) == 256
    assert told_where_memory_is_short(demo_gguf, 600 * MIB) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of addresses to set")
def test_a_context_that_cannot_be_made_at_all_is_refused_with_the_reason(demo_gguf: Path) -> None:
    kind, sentence = told_where_memory_is_short(demo_gguf, 0)

    assert kind == "NotEnoughMemory"
    assert "alloc" in sentence
    assert "a smaller num_ctx takes less" in sentence


# --- GPUs -----------------------------------------------------------------------------------------


def test_slots_are_counted_by_a_gpus_memory_behind_the_weights(
    spec: LoadSpec, sizes: tuple[int, int]
) -> None:
    slot, compute = sizes
    after = GPU_RESERVE + compute + 2 * 5 * slot + 1
    with loaded(spec, FakeDevices(2 * compute, 8 * GIB, gpus_after=(after,))) as engine:
        told = engine.loaded()

    assert told.num_parallel == 5
    assert told.vram_bytes == 8 * GIB - after
    assert told.size_bytes == told.vram_bytes
    assert told.warnings == ()


def test_what_a_gpu_reports_when_others_leave_it_is_at_least_the_weights(spec: LoadSpec) -> None:
    with loaded(spec, FakeDevices(GIB, 8 * GIB, gpus_after=(9 * GIB,))) as engine:
        assert engine.loaded().vram_bytes == engine.model.size_bytes


def test_without_layers_on_a_gpu_nothing_is_its_affair(spec: LoadSpec) -> None:
    devices = FakeDevices(GIB, 8 * GIB)
    with loaded(replace(spec, num_gpu=0), devices) as engine:
        assert not engine.offloaded
        assert engine.loaded().vram_bytes == 0
        assert devices.asked == 0
        params = engine.model._params(replace(spec, num_gpu=0))
    assert (params.main_gpu, params.split_mode) == (-1, 0)  # llama.cpp: no device at all


@pytest.mark.parametrize(
    ("asked", "fitting", "warns"), [(-1, 3, True), (4, 3, True), (2, 3, False), (-1, 0, True)]
)
def test_layers_that_do_not_fit_stay_with_the_cpu(
    spec: LoadSpec, asked: int, fitting: int, warns: bool
) -> None:
    size = fallbacks._size(spec, NativeLog())
    free = GPU_RESERVE + size.compute_bytes + fitting * size.layer_bytes
    with loaded(replace(spec, num_gpu=asked), FakeDevices(GIB, free)) as engine:
        warning = fallbacks.fewer_layers(fitting, engine.model.num_layers)
        assert (warning in engine.loaded().warnings) == warns
        assert engine.offloaded == bool(fitting)


def test_a_whole_model_does_not_make_do_with_fewer_layers(spec: LoadSpec) -> None:
    with pytest.raises(NotEnoughMemory, match="layers fit on the GPU"):
        loaded(replace(spec, whole=True), FakeDevices(GIB, 514 * MIB))


def test_a_gpu_that_refuses_is_asked_for_fewer_layers(
    spec: LoadSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    class Engines(Engine):
        def __init__(self, wanted: LoadSpec, *more: object) -> None:
            tried.append(wanted.num_gpu)
            if wanted.num_gpu < 0 or wanted.num_gpu > 2:
                raise NotEnoughMemory(wanted.model_path, "unable to allocate CUDA0 buffer")
            super().__init__(wanted, *more)

    monkeypatch.setattr(fallbacks, "Engine", Engines)
    with loaded(spec, FakeDevices(GIB, 8 * GIB)) as engine:
        most = engine.model.num_layers
        assert tried[:2] == [-1, most]
        assert tried == sorted(tried[:1]) + sorted(tried[1:], reverse=True)
        assert tried[-1] <= 2
        assert engine.loaded().warnings[0] == fallbacks.fewer_layers(tried[-1], most)


def test_a_gpu_that_there_is_not_is_llama_cpps_to_refuse(spec: LoadSpec) -> None:
    with loaded(replace(spec, main_gpu=3), FakeDevices(GIB, 8 * GIB)) as engine:
        assert engine.loaded().warnings == ()


def test_the_clock_is_read_when_a_gpu_is_done(
    demo_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU computes while we go on: a time that was taken then says nothing."""
    told: list[str] = []
    monkeypatch.setattr(NativeDevices, "gpus", lambda _: FakeDevices(GIB, 8 * GIB).gpus())
    monkeypatch.setattr(Context, "synchronize", lambda _: told.append("waited"))
    serving = Serving(demo_gguf, num_batch=16)
    serving.engine.context.decode = lambda batch: (
        told.append("decode") or Context.decode(serving.engine.context, batch)
    )
    answer = serving.answer("Once upon a time there was a " * 5, num_predict=3)
    serving.close()

    more = answer.end.eval_count - 1
    first = told.index("waited")
    assert told[:first] == ["decode"] * first
    assert first > 1, "a piece of a prompt is not waited for"
    assert told[first:] == ["waited", *["decode", "waited"] * more]
    assert more > 0


def test_what_only_holds_on_a_cpu_is_left_out_on_a_gpu(
    demo_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NativeDevices, "gpus", lambda _: FakeDevices(GIB, 8 * GIB).gpus())
    serving = Serving(demo_gguf)
    seen: list[bool] = []
    acquire = serving.engine.kv_cache.acquire
    serving.engine.kv_cache.acquire = lambda s: seen.append(s.reproducible) or acquire(s)
    serving.answer("Once upon", reproducible=True)
    serving.close()

    assert seen == [False]
