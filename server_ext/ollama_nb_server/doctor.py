"""`ollama-nb doctor`: what this machine has for models, and what was chosen for each of them, why.

Reads only; the choices are made by loads (`engine.tuning`). Runs beside a server or without one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import orjson
import psutil

from ollama_nb_server.engine.hardware.choice import Choice, Key, all_kept, processor_name
from ollama_nb_server.engine.hardware.devices import DeviceMemory, NativeDevices
from ollama_nb_server.engine.hardware.host_memory import HostMemory
from ollama_nb_server.engine.hardware.processors import affinity, cpu_quota, usable_processors
from ollama_nb_server.environment import Settings
from ollama_nb_server.library.errors import LibraryError
from ollama_nb_server.library.store import Store

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Machine:
    """What a load finds. `quota` is a control group's limit in processors (None: there is none)."""

    processor: str
    processors: int
    allowed: int
    quota: float | None
    usable: int
    memory: HostMemory
    gpus: tuple[DeviceMemory, ...]
    engine: str

    @classmethod
    def here(cls) -> Machine:
        """The one that runs this."""
        quota = cpu_quota()
        return cls(
            processor=processor_name(),
            processors=psutil.cpu_count() or 1,
            allowed=len(affinity()),
            quota=quota.processors if quota else None,
            usable=usable_processors(),
            memory=HostMemory.now(),
            gpus=tuple(NativeDevices().gpus()),
            engine=f"llama-cpp-python {version('llama-cpp-python')}",
        )


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen for a model, in each size of context; nothing before its first load."""

    model: str
    choices: tuple[tuple[Key, Choice], ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What an administrator has said, which comes before what was measured."""

    flash_attention: bool | None
    kv_cache_type: str
    calibrate: bool
    num_thread: int
    choices: Path


@dataclass(frozen=True, slots=True)
class Report:
    """All that the doctor says."""

    machine: Machine
    settings: Said
    models: tuple[Chosen, ...]

    def lines(self) -> Iterator[str]:
        """It in plain lines."""
        yield from _machine_lines(self.machine)
        yield from _settings_lines(self.settings)
        if not self.models:
            yield "models: none"
        for chosen in self.models:
            yield from _model_lines(chosen)


def examine(settings: Settings) -> Report:
    """Look at the machine, the store and what is kept."""
    said = Said(
        settings.flash_attention,
        settings.kv_cache_type,
        settings.calibrate,
        settings.num_thread,
        settings.choices,
    )
    return Report(Machine.here(), said, tuple(_chosen(settings)))


def _chosen(settings: Settings) -> Iterator[Chosen]:
    """Every model of the store, then files outside of it that were loaded once."""
    kept: dict[str, list[tuple[Key, Choice]]] = {}
    for key, choice in all_kept(settings.choices):
        kept.setdefault(key.model, []).append((key, choice))
    for name, weights in _stored(Store(settings.models, removes=False)):
        yield Chosen(name, tuple(kept.pop(weights, ())))
    for model, choices in kept.items():
        if not model.startswith("sha256-"):  # a blob that is gone needs no choice
            yield Chosen(model, tuple(choices))


def _stored(store: Store) -> Iterator[tuple[str, str]]:
    """Names and the files of their weights."""
    for name in sorted(store.names(), key=lambda name: name.display):
        with suppress(LibraryError, OSError):
            manifest = store.manifests.of(name)
            for layer in manifest.of_kind("model") if manifest else ():
                yield name.display, store.blobs.path(layer.digest).name


def _machine_lines(machine: Machine) -> Iterator[str]:
    yield f"processor: {machine.processor}, {machine.processors} in this machine"
    limits = [f"{machine.allowed} that this process may run on"]
    if machine.quota is not None:
        limits.append(f"a control group's quota of {machine.quota:g}")
    yield f"used: {machine.usable} ({', '.join(limits)})"
    yield f"memory: {_gib(machine.memory.free_bytes)} of {_gib(machine.memory.total_bytes)} free"
    for gpu in machine.gpus:
        yield f"GPU: {gpu.name}, {_gib(gpu.free_bytes)} of {_gib(gpu.total_bytes)} free"
    if not machine.gpus:
        yield "GPU: none that this build of llama.cpp can use"
    yield f"engine: {machine.engine}"


def _settings_lines(said: Said) -> Iterator[str]:
    words: Mapping[bool | None, str] = {None: "chosen by measuring", True: "on", False: "off"}
    if said.flash_attention is None and not said.calibrate:
        words = {None: "on for models below 50 million weights"}
    yield f"flash attention (OLLAMA_FLASH_ATTENTION): {words[said.flash_attention]}"
    yield f"contexts in (OLLAMA_KV_CACHE_TYPE): {said.kv_cache_type}"
    threads = str(said.num_thread) if said.num_thread else "as many as suit a model"
    yield f"threads (OLLAMA_NUM_THREAD): {threads}"
    measured = "in a model's first load" if said.calibrate else "never"
    yield f"measured (OLLAMA_NB_CALIBRATE): {measured}; kept in {said.choices}"


def _model_lines(chosen: Chosen) -> Iterator[str]:
    if not chosen.choices:
        yield f"{chosen.model}: nothing was measured yet (tiny models and GPUs need it not)"
    for key, choice in chosen.choices:
        attention = "with" if choice.flash else "without"
        yield (
            f"{chosen.model}: {attention} flash attention, threads: {choice.threads}, prompts in "
            f"steps of {choice.num_batch} tokens"
        )
        yield f"  for {key.sizes} tokens, {key.processor}, {key.engine}"
        yield from (f"  because {why}" for why in choice.why)


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"


def doctor(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print the report; the exit status."""
    settings = Settings.from_environ(environ)
    parser = argparse.ArgumentParser(
        prog="ollama-nb doctor",
        description="Say what this machine has for models, and what was chosen for each and why.",
    )
    parser.add_argument("--json", action="store_true", help="the same as one JSON object")
    options = parser.parse_args(argv)
    report = examine(settings)
    if options.json:
        data = orjson.dumps(report, default=str, option=orjson.OPT_INDENT_2)
        sys.stdout.write(data.decode() + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 0
