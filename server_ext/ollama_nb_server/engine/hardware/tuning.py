"""One load's choice: as it was kept, or measured now; what an administrator has said comes first.

Flash attention is chosen before there is a context, threads and the tokens of a step in it, when
the weights have been read: three seconds in all. Where nothing is measured, models below 50 million
weights take flash attention, because their contexts are short, and the others do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from zlib import crc32

from ollama_nb_server.engine.hardware.attention_trial import Case
from ollama_nb_server.engine.hardware.calibration import (
    STEP,
    Stopwatch,
    Times,
    attention_times,
    fewest_threads,
    shares,
    step_size,
    thread_counts,
    weighed,
)
from ollama_nb_server.engine.hardware.choice import (
    Choice,
    Key,
    identity,
    keep,
    kept,
    processor_name,
)
from ollama_nb_server.engine.hardware.processors import usable_processors
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import Batch, Context, Model, system_info

PARALLEL = 16  # where a load takes as many slots as fit
CLEAR = 1.25  # one is so many times the other: not because others were computing
SLOWER = 2  # so many times the time, half of the threads may take
STEP_TOKENS = 16  # so many times a single token, a step of 64 takes at least
WHOLE = 256  # tokens of a whole step, as far as they are measured


class Tuning:
    """Makes a model's choice, in the order of a load: `flash`, then `in_context`.

    Parameters
    ----------
    default
        What is taken where nothing is measured.
    threads
        As many as others leave now. Where they are fewer than the model would take, the number of
        threads is not measured, and a choice that is not clear is made again in the next load.
    measures
        Whether this model, on this device, is one to measure.
    """

    def __init__(
        self, spec: LoadSpec, model: Model, default: Choice, threads: int, *, measures: bool
    ) -> None:
        self._spec, self._model, self._choice = spec, model, default
        self._threads, self._is_quiet = threads, threads == default.threads
        self._folder = Path(spec.calibration) if spec.calibration and measures else None
        self._kept = self._is_clear = False
        if self._folder is None:
            return
        self._num_parallel = spec.num_parallel or PARALLEL
        self._num_ctx = min(spec.num_ctx, model.num_ctx_train)
        self._key, self._watch = self._key_of(spec), Stopwatch()
        if (found := kept(self._folder, self._key)) is not None:
            self._choice, self._kept = found, True
        else:
            self._choose_flash()

    @property
    def flash(self) -> bool:
        """Whether flash attention is used: as it was said, or chosen."""
        return self._choice.flash if self._spec.flash is None else self._spec.flash

    def in_context(self, context: Context, batch: Batch) -> Choice:
        """The whole choice; measures the rest of it in a context that is empty, and is so again."""
        if self._folder is not None and not self._kept:
            token_s = _seconds(lambda: _decode(context, batch, 1))
            self._choose_threads(context, batch, token_s)
            self._choose_step(context, batch, token_s)
            if self._is_quiet or self._is_clear:
                keep(self._folder, self._key, self._choice)
        num_batch = min(self._choice.num_batch, batch.room)
        return replace(self._choice, flash=self.flash, num_batch=num_batch)

    def _key_of(self, spec: LoadSpec) -> Key:
        build = f"{crc32(system_info().encode()):08x}"
        return Key(
            identity(Path(spec.model_path)),
            f"{processor_name()}, {usable_processors()} in use",
            f"llama-cpp-python {version('llama-cpp-python')} {build}",
            f"{self._num_parallel} x {max(shares(self._num_ctx, 1), key=_cells).num_cells}",
        )

    def _choose_flash(self) -> None:
        counted = shares(self._num_ctx, self._num_parallel)
        times = attention_times(self._model.heads, counted, self._threads, self._watch)
        if times is None:
            self._add("flash attention: there was no time to measure it")
            return
        off, on = (weighed(times[flash], counted) for flash in (False, True))
        self._is_clear = not 1 / CLEAR < on / off < CLEAR
        self._add(_compared(off, on, times))
        self._choice = replace(self._choice, flash=on < off)

    def _choose_threads(self, context: Context, batch: Batch, token_s: float) -> None:
        """By single tokens, if two of each number take less time than there is."""
        counts = thread_counts(self._choice.threads)
        needed_s = 2 * len(counts) * SLOWER * token_s
        if len(counts) == 1 or not self._is_quiet or self._watch.left_s <= needed_s:
            return
        seconds: dict[int, float] = {}
        for threads in counts:
            context.set_threads(threads)
            step_s = _seconds(lambda: _decode(context, batch, 1))
            seconds[threads] = min(step_s, _seconds(lambda: _decode(context, batch, 1)))
        context.set_threads(self._choice.threads)
        told = ", ".join(f"{n}: {1000 * s:.1f} ms" for n, s in seconds.items())
        self._add(f"a token by threads: {told}")
        self._choice = replace(self._choice, threads=fewest_threads(seconds))

    def _choose_step(self, context: Context, batch: Batch, token_s: float) -> None:
        """Steps of 64 tokens against one of 256, if that takes less time than there is."""
        count = min(WHOLE, batch.room, self._num_ctx - 1) // STEP * STEP
        if count <= STEP or self._watch.left_s <= STEP_TOKENS * token_s:
            return
        small_s = _seconds(lambda: _decode(context, batch, STEP)) / STEP
        if self._watch.left_s <= 2 * count * small_s:
            return
        whole_s = _seconds(lambda: _decode(context, batch, count)) / count
        small_s = min(small_s, _seconds(lambda: _decode(context, batch, STEP)) / STEP)
        self._add(
            f"a token of prompt in steps of {STEP}: {1000 * small_s:.2f} ms, of {count}: "
            f"{1000 * whole_s:.2f} ms"
        )
        num_batch = step_size(small_s, whole_s, self._choice.num_batch)
        self._choice = replace(self._choice, num_batch=num_batch)

    def _add(self, why: str) -> None:
        self._choice = replace(self._choice, why=(*self._choice.why, why))


def _cells(case: Case) -> int:
    return case.num_cells


def _compared(off_s: float, on_s: float, times: dict[bool, Times]) -> str:
    """Why flash attention was chosen or not, with the times of each step."""
    told = ", ".join(
        f"{case.num_sequences} x {case.num_rows} at {case.num_cells}: "
        f"{1e6 * times[False][case]:.0f}/{1e6 * times[True][case]:.0f}"
        for case in times[True]
    )
    return (
        f"flash attention takes {on_s / off_s:.2f} of the time of the usual one "
        f"(us of a layer, sequences x tokens at cells, off/on: {told})"
    )


def _decode(context: Context, batch: Batch, count: int) -> None:
    batch.fill([(0, 0, [max(context.model.bos, 0)] * count, True)])
    context.decode(batch)
    context.logits(-1)
    context.clear()


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
