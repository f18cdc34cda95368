"""The ways in which the engine fails, each class one meaning, raised on a worker's parent's side.

EngineError
├── LoadFailed            llama.cpp refused the model (its last log line says why)
├── NotEnoughMemory       the model, or one slot of its context, does not fit in memory
├── WorkerDied            the worker process ended while it was needed
├── PromptTooLong         more tokens than the slot has room for
├── InputTooLong          an embedding input longer than the limit, with truncation off
├── NoRoomForInput        the limit leaves no place for any token
├── EmbeddingNotFinite    a vector holds NaN or infinity
├── ScoreTooLong          a prompt and the longest choice behind it do not fit the context
├── ScoreNotFinite        a log-probability is NaN or infinite
├── ChoiceWithoutTokens   a choice that is nothing to this vocabulary
├── CannotGenerate        the model only embeds
├── CannotEmbed           the model only ranks
├── CannotSee             the model was loaded without a projector
├── ImageRefused          an image that cannot be read, or not by this model
├── UnknownToken          a prompt of token ids holds one that the vocabulary does not have
├── GrammarRefused        a grammar or a schema that cannot be compiled, and where it is wrong
├── GrammarDeadEnd        no token may follow what a constrained request has written
├── UnknownMessage        the two ends of a channel do not speak the same protocol
├── DecodeFailed          a native call returned an error while a request ran
└── InternalError         a fault of ours met a request: its traceback is logged
"""

from __future__ import annotations

from traceback import format_exception


class EngineError(Exception):
    """Base of everything the engine raises on purpose."""


class LoadFailed(EngineError):
    """The model could not be loaded."""

    def __init__(self, model_path: str, reason: str) -> None:
        super().__init__(f"llama.cpp could not load {model_path}: {reason}")
        self.model_path, self.reason = model_path, reason


class NotEnoughMemory(EngineError):
    """There was no memory for the model, not even with one slot and nothing on a GPU."""

    def __init__(self, model_path: str, reason: str) -> None:
        super().__init__(
            f"not enough memory to load {model_path}: {reason}; a smaller num_ctx takes less, and "
            "so do fewer loaded models"
        )
        self.model_path, self.reason = model_path, reason


class WorkerDied(EngineError):
    """The worker process is gone; `loading` tells whether it died before it was ready."""

    def __init__(self, cause: str, *, loading: bool, signal: int | None = None) -> None:
        super().__init__(f"the model's worker process ended: {cause}")
        self.cause, self.loading, self.signal = cause, loading, signal


class PromptTooLong(EngineError):
    """The prompt has more tokens than the request's context."""

    def __init__(self, num_tokens: int, num_ctx: int) -> None:
        super().__init__(
            f"request ({num_tokens} tokens) exceeds the available context size "
            f"({num_ctx} tokens), try increasing it"
        )
        self.num_tokens, self.num_ctx = num_tokens, num_ctx


class InputTooLong(EngineError):
    """An embedding input has more tokens than the limit, and may not be cut."""

    def __init__(self, num_tokens: int, limit: int) -> None:
        super().__init__(f"the input has {num_tokens} tokens, the limit is {limit}")
        self.num_tokens, self.limit = num_tokens, limit


class NoRoomForInput(EngineError):
    """The context is so small that not one token of an embedding input fits."""

    def __init__(self, num_ctx: int) -> None:
        super().__init__(f"a context of {num_ctx} tokens has no room for any input")
        self.num_ctx = num_ctx


class EmbeddingNotFinite(EngineError):
    """A vector holds NaN or infinity."""

    def __init__(self) -> None:
        super().__init__("embedding contains NaN or Inf values")


class ScoreTooLong(EngineError):
    """A prompt, counted from 1, leaves no room for the longest choice behind it."""

    def __init__(self, number: int, num_prompt: int, num_choice: int, num_ctx: int) -> None:
        super().__init__(
            f"prompt {number} has {num_prompt} tokens and the longest choice {num_choice}, more "
            f"than the context of {num_ctx} together: shorten them, or raise num_ctx"
        )
        self.number, self.num_prompt = number, num_prompt
        self.num_choice, self.num_ctx = num_choice, num_ctx


class ScoreNotFinite(EngineError):
    """The model's logits are no numbers."""

    def __init__(self) -> None:
        super().__init__("a log-probability is NaN or infinite: the model's weights are broken")


class ChoiceWithoutTokens(EngineError):
    """A choice, counted from 1, of which this vocabulary has no token."""

    def __init__(self, number: int) -> None:
        super().__init__(f"choice {number} has no token in this model's vocabulary")
        self.number = number


class CannotGenerate(EngineError):
    """The model has a pooling type in its metadata: it embeds and does nothing else."""

    def __init__(self) -> None:
        super().__init__("this model only embeds texts; it cannot generate any")


class CannotEmbed(EngineError):
    """The model is a reranker: of two texts it tells a score, of one it has no vector."""

    def __init__(self) -> None:
        super().__init__(
            "this model ranks texts (a reranker) and has no embeddings; choose a model that embeds"
        )


class CannotSee(EngineError):
    """An image is given to a model that has no projector."""

    def __init__(self) -> None:
        super().__init__("this model cannot see images: it was loaded without a projector")


class ImageRefused(EngineError):
    """An image cannot be read, or not by this model; `number` counts a request's from 1."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"image {number}: {reason}")
        self.number, self.reason = number, reason


class UnknownToken(EngineError):
    """A prompt of token ids holds one that the vocabulary does not have."""

    def __init__(self, token: int, num_vocab: int) -> None:
        super().__init__(f"token {token} is not in the vocabulary (0 to {num_vocab - 1})")
        self.token, self.num_vocab = token, num_vocab


class GrammarRefused(EngineError):
    """What binds answers and cannot be compiled.

    `place` is a JSON pointer into a schema or a grammar's line, "" the whole; `about` is what the
    request calls it: "format" or "grammar".
    """

    def __init__(self, reason: str, place: str, about: str = "format") -> None:
        where = f" (at {place})" if place else ""
        super().__init__(f"invalid {about}: {reason}{where}")
        self.reason, self.place, self.about = reason, place, about


class GrammarDeadEnd(EngineError):
    """No token may follow what a constrained request has written so far."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the format or grammar allows no token here: {reason}")
        self.reason = reason


class UnknownMessage(EngineError):
    """A message of a kind that the protocol does not have."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"the worker protocol has no message {kind!r}")
        self.kind = kind


class DecodeFailed(EngineError):
    """A native function failed while a request ran; `function` names it."""

    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"{function} failed with code {code}")
        self.function, self.code = function, code


class InternalError(EngineError):
    """A fault of this program, met while it served one request; the others go on."""

    def __init__(self, fault: str, trace: str = "") -> None:
        super().__init__(f"an internal error ended this request ({fault}); the log has the details")
        self.fault, self.trace = fault, trace

    @classmethod
    def of(cls, error: Exception) -> InternalError:
        """What befell a request, with the way there."""
        return cls(f"{type(error).__name__}: {error}", "".join(format_exception(error)))


def revived(name: str, arguments: tuple[str | int, ...]) -> EngineError:
    """The error that a worker's `Failed` message tells of."""
    kinds = {kind.__name__: kind for kind in EngineError.__subclasses__()}
    return kinds[name](*arguments)
