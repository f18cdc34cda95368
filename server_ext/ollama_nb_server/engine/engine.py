"""A loaded model ready to work: weights, contexts, and how many slots and threads they get."""

from __future__ import annotations

import time
from collections import abc
from contextlib import ExitStack

import psutil

from ollama_nb_server.engine.batch_invariance import rows_alike
from ollama_nb_server.engine.batch_planner import BatchPlanner
from ollama_nb_server.engine.embedding import Embedder
from ollama_nb_server.engine.grammar import Grammars
from ollama_nb_server.engine.image_cache import ImageCache
from ollama_nb_server.engine.image_encoding import ImageEncoder
from ollama_nb_server.engine.kv_cache import KVCache
from ollama_nb_server.engine.limits import MIN_CTX
from ollama_nb_server.engine.messages import Loaded, LoadSpec
from ollama_nb_server.engine.model_runner import ModelRunner
from ollama_nb_server.engine.mtmd import Projector
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
from ollama_nb_server.engine.prefill_budget import LEAST, LEAST_GPU
from ollama_nb_server.engine.processors import usable_processors
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.special_tokens import SpecialTexts
from ollama_nb_server.engine.thread_governor import ThreadGovernor

MAX_PARALLEL = 16
# Fewer weights than this: one thread, more would only wait for each other; flash attention, because
# their contexts are short (demo: 1.4 to 1.9 times as fast below 80 tokens, half as fast above 400).
TINY_PARAMS = 50_000_000
SELF_TEST_LENGTHS = (1, 64)


def slots_that_fit(bytes_per_slot: int, free_bytes: int) -> int:
    """As many slots as fit a quarter of the free memory, at least 1, at most 16."""
    return max(1, min(MAX_PARALLEL, free_bytes // 4 // max(bytes_per_slot, 1)))


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

    Leaving its `with` block frees the contexts and the weights.

    Raises
    ------
    LoadFailed
        With llama.cpp's own reason.
    """

    def __init__(self, spec: LoadSpec, log: NativeLog, abort: AbortSwitch) -> None:
        began = time.perf_counter_ns()
        self._spec, self._log = spec, log
        self._owned = ExitStack()
        self.model = Model(spec, log)
        self._owned.callback(self.model.close)
        self.num_ctx = max(MIN_CTX, min(spec.num_ctx, self.model.num_ctx_train))
        threads = threads_for(self.model.num_params, spec.num_thread)
        self._own_threads, self._threads = threads_for(self.model.num_params, 0), threads
        self._governor = ThreadGovernor(self._own_threads)
        self.context: Context | None = None
        self.images: ImageEncoder | None = None
        self._projector_bytes = 0
        self.num_parallel, self.num_batch = 0, 0
        self.flash = self.model.num_params < TINY_PARAMS
        self.kv_cache, self.planner = KVCache(None, 0), BatchPlanner(0)
        self.embedder = Embedder(self.model, self.num_ctx, threads, abort)
        self._owned.callback(self.embedder.close)
        if self.model.generates:
            self._open(spec, threads, abort)
        else:
            self.embedder.prove(SELF_TEST_LENGTHS)
        self.load_ns = time.perf_counter_ns() - began

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self._owned.close()

    def _open(self, spec: LoadSpec, threads: int, abort: AbortSwitch) -> None:
        """Make the generation context and the steps over it."""
        slot_bytes = self.num_ctx * self.model.kv_bytes_per_token
        fitting = slots_that_fit(slot_bytes, psutil.virtual_memory().available)
        self.num_parallel = min(spec.num_parallel or fitting, max_sequences())
        projector = self._projector(spec, threads) if spec.projector else None
        at_once = projector.max_rows if projector else 0
        self.num_batch = max(min(spec.num_batch, self.num_ctx), self.num_parallel, at_once)
        if projector:
            cache = ImageCache()
            self.images = ImageEncoder(projector, self.model, self.num_ctx, self.num_batch, cache)
        self.context = generation_context(
            self.model,
            num_ctx=self.num_ctx,
            num_parallel=self.num_parallel,
            num_batch=self.num_batch,
            threads=threads,
            flash=self.flash,
            abort=abort,
        )
        self._owned.callback(self.context.close)
        batch = Batch(self.num_batch)
        self.kv_cache = KVCache(self.context, self.num_parallel)
        self.runner = ModelRunner(self.model, self.context, self.kv_cache, batch)
        self.grammars = Grammars(self.model)
        self._prove(self.context, batch)
        alike = rows_alike(self.context, batch, self.num_parallel)
        least = LEAST_GPU if offloads() and spec.num_gpu else LEAST
        self.planner = BatchPlanner(self.num_batch, alike, least)

    def _projector(self, spec: LoadSpec, threads: int) -> Projector:
        path, num_gpu = spec.projector, spec.num_gpu
        projector = Projector(path, self.model, self._log, threads, num_gpu=num_gpu)
        self._owned.callback(projector.close)
        self._projector_bytes = projector.size_bytes
        return projector

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
        return threads_for(self.model.num_params, wanted) if wanted else self._own_threads

    def use_threads(self, threads: int) -> None:
        """Compute the next steps with so many threads."""
        if threads != self._threads and self.context is not None:
            self.context.set_threads(threads)
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
        kv = self.num_parallel * self.num_ctx * model.kv_bytes_per_token
        compute = model.compute_bytes(self.num_batch) if self.context else 0
        special = SpecialTexts.of(model)
        return Loaded(
            num_ctx=self.num_ctx,
            num_ctx_train=model.num_ctx_train,
            num_parallel=self.num_parallel,
            num_embd=model.num_embd,
            num_vocab=model.num_vocab,
            add_bos=model.add_bos,
            bos_text=model.token_text(model.bos),
            eos_text=model.token_text(model.eos),
            fim_texts=tuple(map(model.token_text, model.fim)),
            size_bytes=model.size_bytes
            + kv
            + compute
            + self.embedder.size_bytes
            + self._projector_bytes,
            vram_bytes=0,
            load_ns=self.load_ns,
            num_processors=usable_processors(),
            control_texts=special.control,
            user_defined_texts=special.user_defined,
            warnings=self._warnings(special),
        )

    def _warnings(self, special: SpecialTexts) -> tuple[str, ...]:
        """What was asked for in the load and could not be had on this machine or of this model."""
        said = []
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
