"""A loaded model ready to work: weights, contexts, and how many slots and threads they get."""

from __future__ import annotations

import time
from collections import abc
from contextlib import ExitStack, closing
from dataclasses import replace

import psutil

from ollama_nb_server.engine.batching.invariance import draft_rows_alike, rows_alike
from ollama_nb_server.engine.batching.planner import CUT, BatchPlanner
from ollama_nb_server.engine.batching.prefill_budget import LEAST, LEAST_GPU
from ollama_nb_server.engine.drafts.model import DraftModel
from ollama_nb_server.engine.drafts.speculation import Speculator
from ollama_nb_server.engine.embeddings.embedder import Embedder
from ollama_nb_server.engine.errors import EngineError, LoadFailed, NotEnoughMemory
from ollama_nb_server.engine.grammars.grammar import Grammars
from ollama_nb_server.engine.hardware.choice import Choice
from ollama_nb_server.engine.hardware.devices import DeviceMemory, Devices, NativeDevices
from ollama_nb_server.engine.hardware.fitting import (
    MAX_PARALLEL,
    SlotRoom,
    first_slots,
    halvings,
    usable,
)
from ollama_nb_server.engine.hardware.processors import usable_processors
from ollama_nb_server.engine.hardware.thread_governor import ThreadGovernor
from ollama_nb_server.engine.hardware.tuning import Tuning
from ollama_nb_server.engine.images.cache import ImageCache
from ollama_nb_server.engine.images.encoding import ImageEncoder
from ollama_nb_server.engine.images.mtmd import Projector
from ollama_nb_server.engine.kv_types import cache_type
from ollama_nb_server.engine.limits import MIN_CTX
from ollama_nb_server.engine.load_progress import LoadProgress
from ollama_nb_server.engine.messages import AUTOMATIC, Loaded, LoadSpec
from ollama_nb_server.engine.model_runner import ModelRunner
from ollama_nb_server.engine.native import (
    AbortSwitch,
    Batch,
    Context,
    Model,
    NativeLog,
    generation_context,
    max_sequences,
    offloads,
)
from ollama_nb_server.engine.prefixes.kv_cache import KVCache
from ollama_nb_server.engine.prefixes.prefix import PrefixRules
from ollama_nb_server.engine.prefixes.slot_growth import SlotGrowth
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.special_tokens import SpecialTexts

# Fewer weights than this: one thread, more would only wait for each other; flash attention, because
# their contexts are short (demo: 1.4 to 1.9 times as fast below 80 tokens, half as fast above 400).
TINY_PARAMS = 50_000_000
SELF_TEST_LENGTHS = (1, 64)
DEFAULT_NUM_BATCH = LoadSpec("").num_batch
TRIAL_CTX = 256  # tokens of a slot that is only tried out; llama.cpp makes none smaller
MAX_PREFIX_BYTES = 2 << 30  # unless more is asked for


def prefix_bytes(wanted: int, free_bytes: int) -> int:
    """What copied prefixes may take on the host: so much as is wanted, or a part of what is free.

    It is taken only as prefixes come.
    """
    return wanted if wanted != AUTOMATIC else min(free_bytes // 8, MAX_PREFIX_BYTES)


def threads_for(num_params: int, wanted: int) -> int:
    """Threads of computation: one for a tiny model, else one per core we may use, or as wanted.

    Never more than processors: they wait for each other without sleeping.
    """
    usable = usable_processors()
    if wanted > 0:
        return min(wanted, usable)
    if num_params < TINY_PARAMS:
        return 1
    return max(1, min(usable, psutil.cpu_count(logical=False) or usable))


class Engine:
    """What a worker holds. Making one loads the model and proves that it computes.

    Leaving its `with` block frees the contexts and the weights. Where memory is too short for its
    slots it has fewer, and says so; fewer layers on a GPU are `fallbacks`' affair.

    Raises
    ------
    LoadFailed, NotEnoughMemory
        With llama.cpp's own reason. Nothing of the load is left then.
    """

    def __init__(
        self,
        spec: LoadSpec,
        log: NativeLog,
        abort: AbortSwitch,
        devices: Devices | None = None,
        progress: LoadProgress | None = None,
    ) -> None:
        self._owned = ExitStack()
        self._progress = progress
        self.num_express = 0  # an encoder has no slots
        try:
            self._load(spec, log, abort, devices or NativeDevices())
        except BaseException:
            self._owned.close()
            raise

    def _load(self, spec: LoadSpec, log: NativeLog, abort: AbortSwitch, devices: Devices) -> None:
        began = time.perf_counter_ns()
        self._spec, self._log, self._devices = spec, log, devices
        self.warnings: list[str] = []
        self._governor = ThreadGovernor(threads_for(TINY_PARAMS, 0))
        before = devices.gpus() if spec.num_gpu else []
        self.offloaded = bool(before)
        self.model = Model(spec, log, self._progress)
        self._owned.callback(self.model.close)
        self.num_ctx = max(MIN_CTX, min(spec.num_ctx, self.model.num_ctx_train))
        threads = self._threads_for(spec.num_thread)
        self._own_threads, self._threads = self._threads_for(0), threads
        self.context: Context | None = None
        self.images: ImageEncoder | None = None
        self._projector_bytes = 0
        self.num_parallel, self.num_batch, self._num_slots = 0, 0, 0
        self.kv_type, warning = cache_type(spec.kv_cache_type, spec.flash, self.model.heads)
        self.warnings += [warning] if warning and self.model.generates else []
        tuning = self._tuning(spec)
        self.flash = tuning.flash
        self.kv_cache, self.planner = KVCache(None, 0), BatchPlanner(0)
        self.speculator = Speculator(0, can_forget=False)
        self.drafter: DraftModel | None = None
        self.embedder = Embedder(self.model, self.num_ctx, threads, abort)
        self._owned.callback(self.embedder.close)
        if self.model.generates:
            self._open(spec, threads, abort, tuning)
        else:
            self.embedder.prove(SELF_TEST_LENGTHS)
        self._vram_bytes = self._taken(before)
        self.load_ns = time.perf_counter_ns() - began

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self._owned.close()

    def _tuning(self, spec: LoadSpec) -> Tuning:
        """What chooses by measuring; it does not for tiny models, GPUs and other memories.

        Nor where a load has died of a kernel before: then nothing is risked.
        """
        tiny = self.model.num_params < TINY_PARAMS
        default = Choice(tiny, self._own_threads, spec.num_batch)
        measures = self.model.generates and not (tiny or self.offloaded or self.model.recurs)
        measures = measures and spec.use_extra_bufts
        if self.kv_type != "f16":
            spec = replace(spec, flash=True)
        threads = min(self._governor.threads, self._own_threads)
        return Tuning(spec, self.model, default, threads, measures=measures)

    def _open(self, spec: LoadSpec, threads: int, abort: AbortSwitch, tuning: Tuning) -> None:
        """Make the generation context and the steps over it."""
        projector = self._projector(spec, threads) if spec.projector else None
        wanted = min(spec.num_parallel, max_sequences())
        at_once = projector.max_rows if projector else 0
        slots = (wanted or MAX_PARALLEL) + spec.num_express
        self.num_batch = max(min(spec.num_batch, self.num_ctx), slots, at_once)
        self.drafter = self._draft_model(spec, threads, abort) if spec.draft else None
        self.context = self._context(wanted, threads, abort)
        self._owned.callback(self.context.close)
        if projector:
            cache = ImageCache()
            self.images = ImageEncoder(projector, self.model, self.num_ctx, self.num_batch, cache)
        batch = Batch(self.num_batch)
        self._prove(self.context, batch)
        self.choice = tuning.in_context(self.context, batch)
        self._own_threads = self.choice.threads
        self._governor = ThreadGovernor(self._own_threads)
        alike = self._tried_out(self.context, batch, threads, abort)
        rules = PrefixRules(min(CUT, self.num_batch), self.model.recurs, self.model.window)
        max_bytes = prefix_bytes(spec.prefix_cache_bytes, self._devices.host().free_bytes)
        self.kv_cache = KVCache(self.context, self._num_slots, rules, max_bytes)
        self._growth = SlotGrowth(self.context, self.kv_cache, self.num_parallel, self._room)
        self.runner = ModelRunner(
            self.model,
            self.context,
            self.kv_cache,
            batch,
            waits=self.offloaded,
            num_processors=usable_processors(),
            spare=self.offloaded or usable_processors() > threads,
        )
        self.grammars = Grammars(self.model)
        least = LEAST_GPU if self.offloaded else LEAST
        alone = self.choice.num_batch if spec.num_batch == DEFAULT_NUM_BATCH else self.num_batch
        self.planner = BatchPlanner(self.num_batch, alike, least, alone)
        self.speculator = Speculator(
            self.num_batch,
            can_forget=not self.model.recurs,
            num_exact=self._num_exact(self.context, batch, alike),
            drafter=self.drafter,
        )

    def _alike(self, context: Context, batch: Batch) -> int:
        """How many reproducible sequences may be decoded together; 0: any number.

        Flash attention shares the context of a single one out among the threads, of several not.
        """
        if self.offloaded:
            return 0
        if self.flash and self._own_threads > 1:
            return 1
        return rows_alike(context, batch, self.num_parallel)

    def _context(self, wanted: int, threads: int, abort: AbortSwitch) -> Context:
        """The generation context with as many slots as there is memory for; 0: as fit well."""
        room = self._room()
        asked = wanted or room.automatic
        express = min(self._spec.num_express, max_sequences() - asked)
        fitting = min(asked + express, room.most)
        if not fitting or (self._spec.whole and fitting < asked):
            raise NotEnoughMemory(self._spec.model_path, room.shortage)
        first = fitting if self.offloaded else first_slots(room.slot_bytes, fitting)
        for self._num_slots in halvings(first):
            try:
                context = self._context_of(self._num_slots, threads, abort)
            except NotEnoughMemory:
                if self._num_slots == 1 or self._spec.whole:
                    raise
                continue
            self.num_parallel = fitting if self._num_slots == first else self._num_slots
            self.num_express = max(self.num_parallel - asked, 0)
            if self.num_parallel < asked:
                self.warnings.append(fewer_slots(asked, self.num_parallel))
            return context
        raise AssertionError("halvings end with 1")

    def _tried_out(self, context: Context, batch: Batch, threads: int, abort: AbortSwitch) -> int:
        """How many sequences may be decoded together, with all the slots that there may be.

        A kind of memory that cannot be copied into a larger context gets all its slots now.
        """
        if self._num_slots == self.num_parallel:
            return self._alike(context, batch)
        try:
            trial = self._context_of(self.num_parallel, threads, abort, TRIAL_CTX)
        except NotEnoughMemory:
            self.num_parallel, self.num_express = self._num_slots, 0
            return 1
        with closing(trial):
            carries = context.carries_to(trial)
            alike = self._alike(trial, batch)
        if not carries:
            context.grow(self.num_parallel, ())
            self._num_slots = self.num_parallel
        return alike

    def grow(self, num_waiting: int) -> None:
        """Have more slots where so many sequences wait for one, as far as there may be more."""
        if self.context is not None:
            self._growth.grow(num_waiting)

    def _context_of(
        self, num_parallel: int, threads: int, abort: AbortSwitch, num_ctx: int = 0
    ) -> Context:
        return generation_context(
            self.model,
            num_ctx=num_ctx or self.num_ctx,
            num_parallel=num_parallel,
            num_batch=self.num_parallel if num_ctx else self.num_batch,
            threads=threads,
            flash=self._flash_setting,
            abort=abort,
            kv_type=self.kv_type,
        )

    @property
    def _flash_setting(self) -> bool | None:
        """None: llama.cpp decides, as it does on a GPU where nobody has said anything."""
        if self.offloaded and self._spec.flash is None and self.kv_type == "f16":
            return None
        return self.flash

    def _room(self) -> SlotRoom:
        """What slots take, and what of the host's and the GPUs' memory is free for them."""
        compute = self.model.compute_bytes(self.num_batch)
        gpus = self._devices.gpus() if self.offloaded else []
        vram = usable((gpu.free_bytes for gpu in gpus), self._spec.gpu_overhead)
        return SlotRoom(
            slot_bytes=self.num_ctx * self.model.kv_bytes(self.kv_type),
            on_gpu=self._share_on_gpu,
            vram_bytes=max(sum(vram) - compute, 0),
            host_bytes=max(self._devices.host().free_bytes - compute, 0),
        )

    @property
    def _share_on_gpu(self) -> float:
        """Which part of the layers is on GPUs."""
        if not self.offloaded:
            return 0.0
        wanted, most = self._spec.num_gpu, self.model.num_layers
        return 1.0 if wanted < 0 else min(wanted, most) / most

    def _taken(self, before: abc.Sequence[DeviceMemory]) -> int:
        """What the load has taken of the GPUs' memory; others may have let go of some meanwhile."""
        now = self._devices.gpus() if before else []
        taken = sum(b.free_bytes - n.free_bytes for b, n in zip(before, now, strict=False))
        least = int(self.model.size_bytes * self._share_on_gpu)
        return max(taken, least)

    def _num_exact(self, context: Context, batch: Batch, alike: int) -> int:
        """How many tokens of one sequence may be computed together without a change of any bit."""
        if self.offloaded or self.model.recurs:
            return 1
        return draft_rows_alike(context, batch, alike)

    def _projector(self, spec: LoadSpec, threads: int) -> Projector:
        path, num_gpu = spec.projector, spec.num_gpu
        projector = Projector(path, self.model, self._log, threads, num_gpu=num_gpu)
        self._owned.callback(projector.close)
        self._projector_bytes = projector.size_bytes
        return projector

    def _draft_model(self, spec: LoadSpec, threads: int, abort: AbortSwitch) -> DraftModel | None:
        """None, and a warning: answers are the same without it."""
        try:
            if self.model.recurs:
                raise LoadFailed(spec.draft, "for a model of this kind nothing can be drafted")
            drafter = DraftModel(
                spec, self.model, self.num_ctx, threads, self._log, abort, self._progress
            )
        except EngineError as error:
            self.warnings.append(f"answers come without the draft model: {error}")
            return None
        self._owned.callback(drafter.close)
        return drafter

    def threads_of(self, sequences: abc.Iterable[Sequence]) -> int:
        """Threads for a step: as many as its requests want at most, else as others leave to us.

        Flash attention shares a long context out among the threads, and the sum depends on that:
        there, nobody and nothing else changes the number for a reproducible sequence.
        """
        sequences = list(sequences)
        reproducible = [sequence for sequence in sequences if sequence.reproducible]
        fixed = self.flash and bool(reproducible)
        wanted = max(s.num_thread for s in (reproducible if fixed else sequences))
        return self.threads(wanted) if wanted or fixed else self._governor.threads

    def threads(self, wanted: int) -> int:
        """Threads for somebody who wants so many; 0: as many as suit the model."""
        return self._threads_for(wanted) if wanted else self._own_threads

    def threads_of_texts(self, wanted: int) -> int:
        """Threads for texts to embed; their vectors do not depend on the number."""
        free = not wanted and not self.model.generates
        return self._governor.threads if free else self.threads(wanted)

    def _threads_for(self, wanted: int) -> int:
        """Also a tiny model has use for all if it only embeds: its batches have many rows."""
        least = 0 if self.model.generates else TINY_PARAMS
        return threads_for(max(self.model.num_params, least), wanted)

    def rested(self) -> None:
        """Take note that until now there was nothing to compute."""
        self._governor.rested()

    def use_threads(self, threads: int) -> None:
        """Compute the next steps with so many threads."""
        if threads != self._threads and self.context is not None:
            self.context.set_threads(threads)
            if self.drafter:
                self.drafter.set_threads(threads)
            self._threads = threads

    def _prove(self, context: Context, batch: Batch) -> None:
        """Decode one token and many, so that a processor that cannot dies here, in the load."""
        for length in SELF_TEST_LENGTHS:
            count = min(length, self.num_ctx - 1, self.num_batch)
            batch.fill([(0, 0, [max(self.model.bos, 0)] * count, True)])
            context.decode(batch)
            context.clear()

    def loaded(self) -> Loaded:
        """What the parent is told."""
        model = self.model
        slot_bytes = self.num_ctx * model.kv_bytes(self.kv_type)
        kv = self._num_slots * slot_bytes
        compute = model.compute_bytes(self.num_batch) if self.context else 0
        weight_bytes = model.size_bytes + self._projector_bytes
        drafter_bytes = self.drafter.size_bytes if self.drafter else 0
        special = SpecialTexts.of(model)
        return Loaded(
            num_ctx=self.num_ctx,
            num_ctx_train=model.num_ctx_train,
            num_parallel=self.num_parallel - self.num_express,
            num_express=self.num_express,
            num_slots=self._num_slots,
            slot_bytes=slot_bytes,
            weight_bytes=weight_bytes,
            num_embd=model.num_embd,
            num_vocab=model.num_vocab,
            add_bos=model.add_bos,
            bos_text=model.token_text(model.bos),
            eos_text=model.token_text(model.eos),
            fim_texts=tuple(map(model.token_text, model.fim)),
            size_bytes=max(
                weight_bytes + kv + compute + self.embedder.size_bytes + drafter_bytes,
                self._vram_bytes,
            ),
            vram_bytes=self._vram_bytes,
            load_ns=self.load_ns,
            num_processors=usable_processors(),
            control_texts=special.control,
            user_defined_texts=special.user_defined,
            warnings=self._warnings(special),
        )

    def _warnings(self, special: SpecialTexts) -> tuple[str, ...]:
        """What was asked for in the load and could not be had on this machine or of this model."""
        said = [*self.warnings]
        if special.num_left_out:
            said.append(
                f"the vocabulary has more special tokens than are looked for in messages: the "
                f"texts of {special.num_left_out} of them become these tokens wherever they stand"
            )
        if self._log.unlocked:
            said.append(
                "option 'use_mlock': the system did not let the weights be locked in memory"
            )
        if self._spec.num_gpu > 0 and not offloads():
            said.append("option 'num_gpu': llama.cpp was built without a GPU, the CPU does it all")
        return tuple(said)


def fewer_slots(asked: int, had: int) -> str:
    """The warning of a load that got fewer slots than it was to have."""
    return (
        f"memory is short: {had} requests at once instead of {asked}, others wait; a smaller "
        "num_ctx makes room for more"
    )
