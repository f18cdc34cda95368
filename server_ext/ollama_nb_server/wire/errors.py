"""What is wrong with a request, and the one table that gives every error its status and sentence.

RequestError
├── MissingModel, MissingBody, BadBody, TooMuch       the body
├── BodyTooLarge, OwnBodiesTooLarge, BodiesTooLarge   its length, alone and beside others
├── BadOption, BadTopLogprobs, BadThink, InvalidFormat, GrammarConflict, BadInput
├── BadToolChoice, ToolChoiceConflict, BadThinkBudget, ThinkBudgetConflict
├── NoSuchToken, RawConflict, DoesNotSupport, ThinkUnsupported, ImagesUnsupported
├── VisionTowerInside, OneImageOnly, ProjectorUnsupported, ImageWithoutPlace
├── BadChoices, PromptConflict, BadTokens             score, tokenize, detokenize
├── PromptOverLimit                                   what users may not: prompts,
├── NotAllowed, ClosedNow, NoRoomOfTheirOwn           verbs, times, models
├── BadUsageQuery, NoAccounts, AccountsBroken         usage
├── CloudDisabled, BadPriority, BadTimeout, DeadlinePassed, ReadsTooSlowly
├── EndedOnThePage
└── NotThereYet                                       a part that a later version brings
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from ollama_nb_server.engine import errors as engine
from ollama_nb_server.library import errors as library
from ollama_nb_server.prompts import errors as prompts
from ollama_nb_server.prompts.parsing.parts import OutputBroken
from ollama_nb_server.registry import errors as registry
from ollama_nb_server.scheduling import errors as scheduling
from ollama_nb_server.wire.bounds import MAX_SENTENCE_CHARS


class RequestError(Exception):
    """Base of everything that is wrong with a request itself."""


class MissingModel(RequestError):
    """No model is named."""


class MissingBody(RequestError):
    """The body is empty."""

    def __str__(self) -> str:
        return "missing request body"


class BadBody(RequestError):
    """The body is no JSON, or a field has the wrong type; the text is Go's."""


class TooMuch(RequestError):
    """A request asks for more than one user may have; the sentence says of what, and how much."""


class BodyTooLarge(RequestError):
    """A body is longer than its sender may send; `limit` in bytes."""

    def __init__(self, limit: int, contact: str = "") -> None:
        whom = f": send less at once, or ask {contact}" if contact else ""
        super().__init__(f"the request is larger than {_round(limit)}{whom}")
        self.limit, self.contact = limit, contact


class OwnBodiesTooLarge(RequestError):
    """A body is too much beside the others of the same user, `held` bytes of `limit`."""

    retry_after_s = 5.0

    def __init__(self, held: int, limit: int) -> None:
        super().__init__(
            f"your requests that are under way have {_mb(held)} already, and {_round(limit)} are "
            "allowed: send more when some of them are answered"
        )
        self.held, self.limit = held, limit


class BodiesTooLarge(RequestError):
    """All that clients send would be too much for the server's memory; `limit` in bytes."""

    retry_after_s = 5.0

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"server busy: requests of {_round(limit)} together are all that it keeps at once; try "
            "again soon"
        )
        self.limit = limit


class BadOption(RequestError):
    """An option has the wrong type; `kind` is Ollama's word for the right one."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(f'option "{name}" must be of {kind}')
        self.name, self.kind = name, kind


class BadTopLogprobs(RequestError):
    """`top_logprobs` is out of range."""

    def __str__(self) -> str:
        return "top_logprobs must be between 0 and 20"


class BadToolChoice(RequestError):
    """`tool_choice` is none of the four things that it may be."""

    def __str__(self) -> str:
        return (
            'tool_choice must be "auto", "required", "none" or {"function": {"name": "..."}} with '
            "the name of one of the tools"
        )


class ToolChoiceConflict(RequestError):
    """`tool_choice` asks for what the rest of the request rules out; the sentence says what."""


class BadThinkBudget(RequestError):
    """`think_budget` is no number of tokens."""

    def __str__(self) -> str:
        return "think_budget must be a whole number of tokens, 0 or more"


class ThinkBudgetConflict(RequestError):
    """`think_budget` where nothing is thought, or where it cannot be limited."""


class BadInput(RequestError):
    """`input` of an embed request is neither a text nor a list of texts."""

    def __str__(self) -> str:
        return "invalid input type"


class InvalidFormat(RequestError):
    """`format` is neither "json" nor a schema."""

    def __init__(self, value: Any) -> None:
        parts = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).iterencode(value)
        text = json.dumps("".join(islice(parts, MAX_SENTENCE_CHARS))[:MAX_SENTENCE_CHARS])
        super().__init__(f'invalid format: {text}; expected "json" or a valid JSON Schema object')


class GrammarConflict(RequestError):
    """Two constraints on one answer."""

    def __str__(self) -> str:
        return 'give either "format" or the option "grammar", not both'


class NoSuchToken(RequestError):
    """A field holds a number that is no token of the model."""

    def __init__(self, token: int, num_vocab: int, field: str = "context") -> None:
        super().__init__(
            f"{field}: {token} is no token of this model, which has {num_vocab:,} of them; send "
            "what an answer of the same model gave"
        )


class RawConflict(RequestError):
    """`raw` beside what only a template can use."""

    def __str__(self) -> str:
        return "raw mode does not support template, system, or context"


class DoesNotSupport(RequestError):
    """The model lacks capabilities. `quoted` is how generate and chat name the model."""

    def __init__(self, name: str, *what: str, quoted: bool = False) -> None:
        self.name, self.what = name, what
        sentence = "\n".join(f"does not support {ability}" for ability in what)
        super().__init__(f'"{name}" {sentence}' if quoted else f"{name} {sentence}")


class ThinkUnsupported(DoesNotSupport):
    """The model does not think."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "thinking", quoted=True)


class ImagesUnsupported(RequestError):
    """The model does not see."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"image input is not supported: {name} does not support vision; choose a model with "
            "the capability `vision`"
        )


class VisionTowerInside(RequestError):
    """The part that sees lies in the model's own file, in a form that llama.cpp does not read."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} has its vision part in the same file as its text part, a form of an older "
            "Ollama that this server can use for text only; for images, create or pull the model "
            "with its projector in a file of its own (from hf.co, for example)"
        )


class OneImageOnly(RequestError):
    """A model of the family mllama is shown several images at once."""

    def __str__(self) -> str:
        return "this model only supports one image while more than one image requested"


class ProjectorUnsupported(RequestError):
    """A model's projector is of a kind that is not served, or not for so many images."""

    def __init__(self, kind: str, most: int) -> None:
        many = "no image" if most == 0 else f"{most} image in a conversation"
        super().__init__(
            f"a projector of the kind {kind} can be shown {many} by this server; choose another "
            "model with the capability `vision`, or show fewer"
        )
        self.kind, self.most = kind, most


class ImageWithoutPlace(RequestError):
    """A raw prompt, a suffix or a request's own template does not say where an image belongs."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"image {number + 1} has no place in the prompt: write [img-{number}] where it belongs"
        )
        self.number = number


class BadChoices(RequestError):
    """`choices` of a score request are none, or not all texts with a letter; the sentence says."""


class PromptConflict(RequestError):
    """A request says in no way, or in several, what is to be read; the sentence says which."""


class BadTokens(RequestError):
    """`tokens` of a detokenize request are no list of ids, and no list of such lists."""

    def __str__(self) -> str:
        return "tokens must be a list of token ids, or a list of such lists"


class PromptOverLimit(RequestError, scheduling.Refusal):
    """A prompt is longer than an administrator lets users' prompts be; counts in tokens."""

    def __init__(self, count: int, most: int, contact: str) -> None:
        super().__init__(
            f"the prompt has {count} tokens, and {most} are allowed here: shorten it, or ask "
            f"{contact}"
        )
        self.count, self.most, self.contact = count, most, contact


class BadUsageQuery(RequestError):
    """An argument of /api/usage that cannot be meant so; the sentence says which."""


class NoAccounts(RequestError):
    """A server of one person keeps none."""

    def __str__(self) -> str:
        return (
            "this server keeps no accounts: only one that is shared does, where callers have names"
        )


class AccountsBroken(RequestError):
    """The file of the accounts cannot be read; the text says why."""


class NotAllowed(RequestError):
    """Something that is an administrator's; `contact` says whom to ask, `why` why that is so."""

    def __init__(self, user: str, what: str, contact: str, why: str = "") -> None:
        reason = f", {why}" if why else ""
        super().__init__(f"{user or 'you'} may not {what} here{reason}: ask {contact}")
        self.user, self.what, self.contact = user, what, contact


class ClosedNow(RequestError):
    """Something may not be used at a time; `until` says when that ends, in words, "" for good."""

    def __init__(self, what: str, window: str, until: str, allowed: Sequence[str]) -> None:
        ends = f", which ends {until}" if until else ""
        others = f": use {' or '.join(allowed)}" if allowed else ""
        super().__init__(f"{what} may not be used during {window!r}{ends}{others}")
        self.what, self.window, self.until, self.allowed = what, window, until, allowed


class NoRoomOfTheirOwn(RequestError):
    """A user's own models would take more than is allowed; `models` are bytes and names."""

    def __init__(
        self, more_bytes: int, taken: int, limit: int, models: Sequence[tuple[int, str]]
    ) -> None:
        listed = ", ".join(f"{name} ({_mb(size)})" for size, name in models[:10])
        first = f"delete some of your models first: {listed}" if listed else "make a smaller one"
        super().__init__(
            f"{_mb(more_bytes)} more are too much beside the {_mb(taken)} that your own models and "
            f"uploads take: {_mb(limit)} are allowed; {first}"
        )
        self.more_bytes, self.taken, self.limit, self.models = more_bytes, taken, limit, models


def _mb(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"


def _round(num_bytes: int) -> str:
    """A limit, in the unit that it is set in."""
    return f"{num_bytes >> 20} MiB" if num_bytes % (1 << 20) == 0 else f"{num_bytes / 1e6:,g} MB"


class CloudDisabled(RequestError):
    """A cloud model or a cloud feature is asked for; there is no cloud here."""

    def __init__(self, what: str) -> None:
        super().__init__(f"ollama cloud is disabled: {what}")


class BadPriority(RequestError):
    """The header that says how urgent a request is says something else."""

    def __init__(self, header: str, value: str) -> None:
        super().__init__(f"{header} must be 'interactive' or 'batch', not {value[:40]!r}")
        self.header, self.value = header, value


class BadTimeout(RequestError):
    """The header that says how long an answer is worth waiting for says something else."""

    def __init__(self, header: str, value: str) -> None:
        super().__init__(f"{header} must be a positive number of seconds, not {value[:40]!r}")
        self.header, self.value = header, value


class DeadlinePassed(RequestError):
    """The time that the client gave is over; the request was cancelled."""

    def __init__(self, header: str, seconds: str) -> None:
        super().__init__(f"the request was not done after the {seconds[:40]} s of its {header}")
        self.header, self.seconds = header, seconds


class EndedOnThePage(RequestError):
    """Somebody who may has ended the request on the server's page."""

    def __str__(self) -> str:
        return "the request was ended on the server's page"


class ReadsTooSlowly(RequestError):
    """More of an answer waits for its client than is kept; `limit` in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the client reads too slowly: {limit >> 20} MiB of the answer wait for it, so the "
            "rest is not generated; read it as it comes, or ask for less at once"
        )
        self.limit = limit


class NotThereYet(RequestError):
    """A part of the API that this version does not have."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: this version of ollama_nb does not have that yet")


CRASHED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal "
    "error, check ollama server logs for details"
)


def _missing_model(_: Exception, route: str) -> tuple[int, str]:
    if route in ("generate", "embed"):
        return 404, "model '' not found"
    if route in ("create", "pull"):
        return 400, "invalid model name"
    return 400, "model is required"


def _invalid_name(error: Exception, route: str) -> tuple[int, str]:
    assert isinstance(error, library.InvalidName)
    if route == "delete":
        return 400, f'name "{error.text}" is invalid'
    if route == "copy":
        return 400, f'{error.part} "{error.text}" is invalid'
    return 400, "invalid model name"


def _model_not_found(error: Exception, route: str) -> tuple[int, str]:
    assert isinstance(error, library.ModelNotFound)
    if route in ("embed", "embeddings"):
        return 404, f'model "{error.asked}" not found, try pulling it first'
    if route == "copy":
        return 404, f'model "{error.asked}" not found'
    return 404, f"model '{error.display if route == 'show' else error.asked}' not found"


def _blob_not_found(error: Exception, route: str) -> tuple[int, str]:
    return (500 if route == "create" else 404), str(error)


def _prompt_too_long(error: Exception, _: str) -> tuple[int, str]:
    """As llama-server says it: JSON inside the sentence (reference 12.4)."""
    assert isinstance(error, engine.PromptTooLong)
    facts = {
        "code": 400,
        "message": str(error),
        "type": "exceed_context_size_error",
        "n_prompt_tokens": error.num_tokens,
        "n_ctx": error.num_ctx,
    }
    return 400, json.dumps({"error": facts}, separators=(",", ":"))


def _input_too_long(_: Exception, route: str) -> tuple[int, str]:
    return (500 if route == "embeddings" else 400), "the input length exceeds the context length"


def _died(error: Exception, _: str) -> tuple[int, str]:
    assert isinstance(error, engine.WorkerDied)
    return 500, f"{CRASHED}: {error.cause}"


# What to do about what an operating system refuses; its own words stand before it.
REMEDIES = {
    errno.ENOSPC: "free some disk space, or let OLLAMA_MODELS name a folder on another disk",
    errno.EDQUOT: "free some of your quota, or let OLLAMA_MODELS name another folder",
    errno.EROFS: "the model store is read-only: let OLLAMA_MODELS name another folder",
    errno.ENOTDIR: "let OLLAMA_MODELS name a folder",
    errno.EEXIST: "let OLLAMA_MODELS name a folder",
    errno.ENOLCK: "the file system of the model store knows no locks: let OLLAMA_MODELS name a "
    "folder on another one",
    errno.EACCES: "the model store belongs to somebody else: ask for the right to write, or let "
    "OLLAMA_MODELS name another folder",
}


def _os_error(error: Exception, _: str) -> tuple[int, str]:
    assert isinstance(error, OSError)
    remedy = REMEDIES.get(error.errno or 0)
    said = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror or error)
    return 500, f"{said}; {remedy}" if remedy else str(error)


def _says(status: int) -> Callable[[Exception, str], tuple[int, str]]:
    return lambda error, _: (status, str(error))


# The only HTTP numbers. The first class that fits counts.
TABLE: tuple[tuple[type[Exception], Callable[[Exception, str], tuple[int, str]]], ...] = (
    (MissingModel, _missing_model),
    (BadOption, _says(500)),
    (InvalidFormat, _says(500)),
    (ImagesUnsupported, _says(500)),
    (OneImageOnly, lambda error, route: (500 if route == "chat" else 400, str(error))),
    (CloudDisabled, _says(403)),
    (NotAllowed, _says(403)),
    (PromptOverLimit, _says(413)),
    (BodyTooLarge, _says(413)),
    (OwnBodiesTooLarge, _says(429)),
    (BodiesTooLarge, _says(503)),
    (ClosedNow, _says(403)),
    (NoRoomOfTheirOwn, _says(507)),
    (NoAccounts, _says(404)),
    (AccountsBroken, _says(500)),
    (NotThereYet, _says(501)),
    (DeadlinePassed, _says(504)),
    (EndedOnThePage, _says(503)),
    (RequestError, _says(400)),
    (library.InvalidName, _invalid_name),
    (library.ModelNotFound, _model_not_found),
    (library.RemoteModel, _says(403)),
    (library.BlobNotFound, _blob_not_found),
    (library.BadRequestFact, _says(400)),
    (library.StoreLocked, _says(503)),
    (library.LibraryError, _says(500)),
    (prompts.PromptCannotBeCut, _says(400)),
    (prompts.TwoAnswersBegun, _says(400)),
    (prompts.PromptError, _says(500)),
    (OutputBroken, _says(500)),
    (engine.PromptTooLong, _prompt_too_long),
    (engine.InputTooLong, _input_too_long),
    (
        engine.NoRoomForInput,
        lambda _, __: (400, "input after truncation exceeds maximum context length"),
    ),
    (engine.EmbeddingNotFinite, _says(400)),
    (engine.ScoreTooLong, _says(400)),
    (engine.ScoreNotFinite, _says(400)),
    (engine.ChoiceWithoutTokens, _says(400)),
    (engine.CannotEmbed, _says(400)),
    (engine.GrammarRefused, _says(400)),
    (engine.ImageRefused, _says(400)),
    (engine.WorkerDied, _died),
    (engine.EngineError, _says(500)),
    (
        scheduling.QueueFull,
        lambda _, __: (503, "server busy, please try again.  maximum pending requests exceeded"),
    ),
    (scheduling.TooManyWaiting, _says(429)),
    (scheduling.QuotaSpent, _says(429)),
    (scheduling.SchedulingError, _says(503)),
    (registry.RegistryError, _says(500)),
    (OSError, _os_error),
)
KNOWN = tuple(kind for kind, _ in TABLE)


def describe(error: Exception, route: str = "") -> tuple[int, str] | None:
    """Status and sentence of an error on a route; None for one that nobody raised on purpose."""
    for kind, say in TABLE:
        if isinstance(error, kind):
            status, sentence = say(error, route)
            return status, shortened(sentence)
    return None


def shortened(sentence: str) -> str:
    """A sentence that names what was sent, which may be long, cut to what anybody reads."""
    if len(sentence) <= MAX_SENTENCE_CHARS:
        return sentence
    return f"{sentence[:MAX_SENTENCE_CHARS]} ..."


def describe_midway(error: Exception, route: str = "") -> str | None:
    """The sentence of an error after the first chunk has been sent."""
    if isinstance(error, engine.WorkerDied):
        return f"an error was encountered while running the model: {error.cause}"
    found = describe(error, route)
    return None if found is None else found[1]
