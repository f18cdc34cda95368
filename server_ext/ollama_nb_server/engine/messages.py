"""The worker protocol as data: what a parent asks of a worker, and what a worker answers.

Only values live here; how they travel is the transport's affair (engine/channel.py).
Every request has an `id` chosen by the parent; every answer repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

AUTOMATIC = -1  # a number that the worker chooses

# --- parent -> worker -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """What decides a worker: two requests with equal specs can share one.

    `num_ctx` is per slot. `num_parallel` 0 means: as many slots as fit a quarter of free memory (of
    a GPU's, half of what the weights leave), at most 16. `num_thread` 0 means: chosen for the
    model's size. `num_gpu` -1: as many layers on GPUs as fit; 0: none, and nothing else either.
    `gpu_overhead` is to be left free of each GPU (bytes); with `sched_spread` all GPUs are used,
    also where one has room for all. With `whole`, a load that memory is too short for fails instead
    of making do with less.
    `flash` is flash attention (None: whichever is faster, on a GPU llama.cpp's choice), which a
    quantised `kv_cache_type` ("q8_0", "q4_0") needs. `calibration` is the folder that keeps what
    was chosen by measuring ("": nothing is measured).
    RoPE settings of 0 are the model's own; `numa` spreads the threads over a machine's nodes.
    `draft` is the file of a model that writes ahead of this one ("": none).
    `translation` is opened instead of `model_path` if there is one; `overrides` are keys of the
    GGUF's metadata with other values. `projector` is the file that lets the model see ("": none).
    `prefix_cache_bytes` is what copies of computed prompts may take on the host (AUTOMATIC: by
    what is free; 0: nothing that was computed is used again, not even where it still lies).
    `num_express` slots come on top of the others where there is memory for them.
    """

    model_path: str
    adapters: tuple[str, ...] = ()
    num_ctx: int = 4096
    num_parallel: int = 0
    num_batch: int = 512
    num_thread: int = 0
    num_gpu: int = -1
    main_gpu: int | None = None
    use_mmap: bool | None = None
    use_mlock: bool = False
    numa: bool = False
    rope_frequency_base: float = 0.0
    rope_frequency_scale: float = 0.0
    use_extra_bufts: bool = True
    translation: str = ""
    projector: str = ""
    draft: str = ""
    gpu_overhead: int = 0
    sched_spread: bool = False
    whole: bool = False
    flash: bool | None = None
    kv_cache_type: str = "f16"
    calibration: str = ""
    overrides: tuple[tuple[str, bool | int | float | str], ...] = ()
    prefix_cache_bytes: int = AUTOMATIC
    num_express: int = 0

    @classmethod
    def received(cls, facts: dict[str, Any]) -> LoadSpec:
        """The same, after its way through JSON, which has no tuples."""
        overrides = tuple((key, value) for key, value in facts["overrides"])
        return cls(**{**facts, "adapters": tuple(facts["adapters"]), "overrides": overrides})


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """One request's native sampler chain. Neutral values switch a filter off. `seed` is final."""

    seed: int
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a generation's text must look like.

    `kind` is "json_object" (any JSON object, `text` is empty), "json_schema" (`text` is a JSON
    Schema) or "gbnf" (`text` is a grammar in llama.cpp's notation). With `after`, it holds behind
    the first occurrence of that text only: what a model thinks before is free. With `opens` as
    well, that is so only if the text begins with `opens`, and it holds from the beginning if not.

    A "shape" binds calls of tools (`text` is a document of engine/grammars/shapes.py). The answer
    is free until one of the `triggers` has been written, whether as a special token or by its
    letters; behind that stands a whole call, then it is free again. If one is `required`, the
    answer begins with the first trigger. Without `after`, a call ends a thought.

    Small models write calls in forms that are not their family's. `loose` is the document of such a
    call, which begins with one of the `loose_triggers`; it counts at the beginning of an answer,
    behind blanks, a fence and brackets (`loose.LEAD`), and behind another call of this kind.
    """

    kind: str
    text: str = ""
    after: str = ""
    opens: str = ""
    triggers: tuple[str, ...] = ()
    required: bool = False
    loose: str = ""
    loose_triggers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thinking:
    """How long a model may think before it answers.

    A thought stands between `opens` and `closes` at the beginning of an answer; if it has `begun`,
    the prompt ends with the first. After `budget` tokens (negative: any number; those of the tags
    do not count) the closing tag is written and the answer begins. Where a grammar begins `after` a
    thought, its tags are the ones that count.
    """

    opens: str
    closes: str
    begun: bool = False
    budget: int = -1


class Priority(IntEnum):
    """Who comes first where something waits: a person before a program that works through a table.

    The smaller number is served first.
    """

    INTERACTIVE = 0
    BATCH = 1


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A piece of a prompt as text.

    With `parse_special`, texts of special tokens become these tokens; without, they are text like
    any other, so that nothing a user wrote can end a turn. A prompt is cut at special tokens only:
    each segment is tokenised by itself.

    llama.cpp makes user-defined tokens of their texts even without `parse_special`. What keeps them
    from it is a letter in their middle, which is not read: `seam`, where it is not empty.
    """

    text: str
    parse_special: bool = True
    seam: str = ""


@dataclass(frozen=True, slots=True)
class TokenSegment:
    """A piece of a prompt as token ids, taken as they are."""

    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ImageSegment:
    """An image at its place in a prompt: the bytes of a PNG, JPEG, GIF, BMP or WebP file.

    Of a GIF the first picture is seen. The model must have been loaded with a projector.
    """

    data: bytes = field(repr=False)


Segment = TextSegment | TokenSegment | ImageSegment


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue a prompt. It gets BOS (once) where the model wants it, unless it begins with ids.

    `num_predict` < 0: until a stop, 10 contexts at most.
    `num_ctx` is the request's own limit (0: the slot's). With `shift`, a full context drops older
    tokens behind the first `num_keep` (negative: behind the prompt; BOS comes on top) and goes on;
    without, or where the model's memory cannot do that, it ends the generation. `logprobs` is the
    number of alternatives that are told with every token's probability (negative: nothing is).
    `num_thread` 0 is the worker's own choice; of several requests the largest counts.
    `reproducible`: the answer must not depend on who else is being served (`batching.planner`).
    What was computed of one prompt serves another that begins alike and has the same `salt`; as far
    as both begin like the text `public`, with any salt. Its last token does not count: how it is
    cut into tokens depends on what follows.
    Up to `num_draft` expected tokens are computed with a token (0: none). AUTOMATIC: as many as
    pay, and of temperature 0 as many as change no bit of the answer.
    Control tokens show nothing; those whose texts are among `tags` are written out, but for the
    ones that end a generation. Texts that are no control token's are no matter. `thinking` limits
    what is thought before the answer. A `newcomer` is of a user who has nothing else running while
    others do: their prompt need not wait for the others' next tokens.
    """

    id: int
    prompt: tuple[Segment, ...]
    sampling: SamplingParams
    num_predict: int = -1
    num_ctx: int = 0
    stop: tuple[str, ...] = ()
    shift: bool = False
    num_keep: int = 0
    grammar: Grammar | None = None
    logprobs: int = -1
    num_thread: int = 0
    priority: Priority = Priority.INTERACTIVE
    reproducible: bool = False
    tags: tuple[str, ...] = ()
    thinking: Thinking | None = None
    salt: str = ""
    public: tuple[Segment, ...] = ()
    num_draft: int = AUTOMATIC
    newcomer: bool = False


@dataclass(frozen=True, slots=True)
class Embed:
    """Pooled, L2-normalised vectors of several texts. The rest is as in `Generate`."""

    id: int
    texts: tuple[str, ...]
    truncate: bool = True
    num_ctx: int = 0
    num_thread: int = 0
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True)
class Score:
    """How likely each of several texts is behind each of several prompts.

    A choice is spelled as text that stands behind others: exactly its letters, no blank before
    them; nothing in it becomes a special token. Only a single prompt may have images. Nothing is
    cut. With `reproducible`, choices are computed token by token, as answers are. The rest is as in
    `Generate`.
    """

    id: int
    prompts: tuple[tuple[Segment, ...], ...]
    choices: tuple[tuple[TextSegment, ...], ...]
    num_ctx: int = 0
    num_thread: int = 0
    priority: Priority = Priority.INTERACTIVE
    reproducible: bool = False
    salt: str = ""
    public: tuple[Segment, ...] = ()

    @property
    def prompt(self) -> tuple[Segment, ...]:
        """The single prompt of a request with images."""
        return self.prompts[0]


@dataclass(frozen=True, slots=True)
class Tokenize:
    """Token ids of a prompt; BOS/EOS only if `add_special`, as in `Generate`.

    With `ends` > 0, no more than so many of the first and so many of the last ones are told.
    """

    id: int
    prompt: tuple[Segment, ...]
    add_special: bool = False
    ends: int = 0


@dataclass(frozen=True, slots=True)
class Detokenize:
    """The text of token ids, special tokens included."""

    id: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Forget request `id` at once; `Cancelled` follows, unless its end is on its way already."""

    id: int


# --- worker -> parent -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loading:
    """How much of the weights has been read, from 0 to 1; comes before `Loaded`, or never."""

    fraction: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is ready. Sizes in bytes, `load_ns` measured in the worker."""

    num_ctx: int  # per slot, after the cap to the trained length
    num_ctx_train: int
    num_parallel: int
    num_embd: int
    num_vocab: int
    add_bos: bool
    bos_text: str
    eos_text: str
    size_bytes: int  # weights, KV cache and compute buffers
    vram_bytes: int
    load_ns: int
    num_slots: int = 0  # that there are now; the rest, up to `num_parallel`, when they are needed
    slot_bytes: int = 0
    weight_bytes: int = 0  # the projector's too
    num_processors: int = 0  # that the worker may use
    warnings: tuple[str, ...] = ()
    fim_texts: tuple[str, ...] = ()  # of the tokens before a prefix, a suffix and the middle
    control_texts: tuple[str, ...] = ()  # that become special tokens where those are parsed
    user_defined_texts: tuple[str, ...] = ()  # that do so in every text
    num_express: int = 0  # slots beyond `num_parallel`


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What a worker has done since its start, and what its slots hold; of no request.

    `steps` counts the steps of generation by their time: those up to each of `STEP_BOUNDS_S`, and
    the longer ones. Idle slots hold no sequence, but what was computed of an earlier one.
    """

    steps: tuple[int, ...] = ()
    steps_s: float = 0.0  # of all steps together
    num_slots: int = 0
    num_live: int = 0
    num_idle: int = 0
    num_kv_tokens: int = 0  # in live slots
    prefix_bytes: int = 0  # of copies on the host
    prompt_token_s: float = 0.0  # that a token of a prompt adds to a step; 0: not measured yet
    output_token_s: float = 0.0  # of a step by those who decode in it, the most that ever did


STEP_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Logprob:
    """A piece of text and the natural logarithm of its probability, before any sampling.

    A piece is a token; tokens that make up one character are one piece, with the sum of theirs.
    `bytes` are those of the text, or of a character that never became whole (`text` is empty).
    `alternatives` are the likeliest tokens at that place, the likeliest first, without their own.
    """

    text: str
    logprob: float
    bytes: tuple[int, ...]
    alternatives: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of one sequence in one step; never a cut character, never part of a stop string.

    `logprobs`, where asked for: the pieces that end in this text. Those of a whole answer make up
    its text; a piece comes when the last of its text does.
    """

    id: int
    text: str
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a prompt is computed, after every step that did not finish it; in tokens."""

    id: int
    num_computed: int
    num_prompt: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a generation. `reason` is `stop` or `length`; counts in tokens, times in ns.

    `stop` is the text among the request's that ended it, "" if none did. Of the prompt's tokens
    `cached_count` had been computed for an earlier request. `drafted_count` tokens were computed
    because they were expected, and `accepted_count` of them came.
    """

    id: int
    reason: str
    prompt_count: int
    prompt_ns: int
    eval_count: int
    eval_ns: int
    stop: str = ""
    cached_count: int = 0
    drafted_count: int = 0
    accepted_count: int = 0


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Request `id` is over because it was cancelled; what had been computed of it, in tokens.

    Of the prompt, `cached_count` had been computed for an earlier request.
    """

    id: int
    prompt_count: int = 0
    eval_count: int = 0
    cached_count: int = 0


@dataclass(frozen=True, slots=True)
class Embedded:
    """One little-endian float32 vector (`bytes`) a text, in order, and the sum of their tokens.

    Of the texts that were longer than the limit: how many, their tokens, and those that were kept.
    """

    id: int
    vectors: tuple[bytes, ...]
    prompt_count: int
    num_texts_cut: int = 0
    num_tokens_before: int = 0
    num_tokens_kept: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """Each choice's tokens, and their log-probabilities behind each prompt.

    Of a prompt these are little-endian float64 (`bytes`), those of one choice behind those of the
    choice before. The counts are the tokens of all prompts, and those whose probability is told; of
    the prompts' `cached_count` had been computed for an earlier one.
    """

    id: int
    tokens: tuple[tuple[int, ...], ...]
    logprobs: tuple[bytes, ...]
    prompt_count: int
    eval_count: int
    cached_count: int = 0


@dataclass(frozen=True, slots=True)
class Tokens:
    """Answer to `Tokenize`; of `count` tokens, those that were asked for."""

    id: int
    tokens: tuple[int, ...]
    count: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """Answer to `Detokenize`."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A request failed; `error` names a class of engine/errors.py, `args` is what it is made of.

    The counts tell what had been computed of it, in tokens.
    """

    id: int
    error: str
    args: tuple[str | int, ...] = field(default=())
    prompt_count: int = 0
    eval_count: int = 0
