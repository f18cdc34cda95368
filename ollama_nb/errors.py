"""Everything that can go wrong on the kernel side, as one tree of exceptions.

The sentences are written for the person at the notebook; statuses and sockets stay in `connection`.

    OllamaNbError
    |-- NoServer            no server was found, and why each place failed
    |-- ServerWentAway      the connection broke while a call was running
    |   `-- ServerNotReady  it says that it is away for a moment, which lasts too long
    |-- ServerRefused       the server wants a token, or another one
    |   `-- NotAllowed      it knows who asks, and that is not for them
    |-- QuotaSpent          all of a quota is used, and when there is more
    |-- NoAccounts          the server keeps no record of who used what
    |-- ModelNotFound       the server has no model of that name
    |-- AnswerFailed        the server reported any other error instead of an answer
    |-- NotDone             the server reported why it did not pull, push, create, copy or remove
    |-- BadModelfile        a Modelfile that does not follow its grammar, and the line
    |-- NoSuchModelFile     a path that a model was to be made of and that is not there
    |-- UnfitModelFile      a file or folder that no model can be made of, and why
    |-- BadTemplate         a prompt with variables that cannot be read, or that fails with them
    |-- UnknownOption       an option that looks like a misspelt one
    |-- BadChoices          texts that cannot be compared as answers, and why
    |-- BadValue            a value that no request can hold, such as nan
    |-- BadPurpose          a purpose of texts to embed that there is not
    |-- NoPrompt            a prompt without a word
    |-- NotText             something else than text where a text was expected
    |-- BadThinking         a level of thinking, or a budget, that there is not
    |-- NotAPicture         something that no picture can be made of
    |-- BadMessage          something that no message of a chat can be
    |-- TooManyRounds       a model went on and on calling tools
    |-- (tools.errors)      what is wrong with a tool or a call of it
    |-- BadSchema           something that no schema can be made of, and where it goes wrong
    |-- AnswerCut           an answer that ended before its JSON did, and what to raise
    |-- NotJson             an answer that is no JSON
    |-- NotFitting          an answer whose JSON is not of the type that was asked for
    |-- NotATable           an answer whose JSON has no rows
    |-- MissingPackage      a package that only some things need is not installed
    |-- NoModels            models to compare that cannot be compared
    |-- BadRepeats          a benchmark of no calls
    `-- MagicUsage          a magic was written in a way it does not understand
    ServerWarning           an answer came, but not all that was asked for took effect
    CacheWarning            what was computed cannot be kept, or what was kept cannot be read
    Stopped                 Ctrl-C while a call was running (a KeyboardInterrupt)
    |-- Interrupted         while a model was answering, with the answer as far as it came
    `-- TransferStopped     while a model was pulled, pushed or created, with how far it was
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

SHOWN_LETTERS = 40  # of an answer, in an error's sentence


class Answer(Protocol):
    """What sentences need of an answer; each is a `Generation`, which this module cannot import."""

    done_reason: str | None
    stats: Any
    schema: Any
    tool_calls: Any

    @property
    def text(self) -> str:
        """What the model wrote."""


class Transfer(Protocol):
    """What a sentence needs of a transfer; each is a `Progress`."""

    doing: str
    name: str

    def reached(self) -> str:
        """Say how far it came."""


class _OneLine:
    """An exception whose traceback in IPython is the caller's part, or, of a magic, one line."""

    _is_in_one_line = False

    def in_one_line(self) -> None:
        """Let IPython show this exception as one line; called by the magics only."""
        self._is_in_one_line = True

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows (its own protocol): no frames of this package."""
        if self._is_in_one_line:
            return [f"{type(self).__name__}: {self}"]
        from ollama_nb.tracebacks import of_the_caller

        return of_the_caller(self)  # type: ignore[arg-type]  # each is an exception as well


class OllamaNbError(_OneLine, Exception):
    """Any error that this package raises on purpose.

    `answer` is the `Generation` that there was by then, or None: in a chat with tools its
    `.messages` hold the conversation, with all calls that have run.
    """

    answer: Any = None


class NoServer(OllamaNbError):
    """No place that could hold a model server answered."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        if len(self.reasons) == 1:
            super().__init__(f"no model server was found: {self.reasons[0]}")
            return
        tried = "".join(f"\n  - {reason}" for reason in self.reasons)
        super().__init__(f"no model server was found. Tried, in this order:{tried}")


class ServerWentAway(OllamaNbError):
    """The server, or the way to it, broke while a call was running."""

    def __init__(self, url: str, cause: str) -> None:
        self.url = url
        super().__init__(
            f"the connection to {url} broke ({cause}). Run the cell again: the next call "
            "looks for a server afresh"
        )


class ServerNotReady(ServerWentAway):
    """The server, or a proxy before it, said for a while that it is away for a moment."""

    def __init__(self, url: str, said: str, waited_s: float) -> None:
        self.url = url
        OllamaNbError.__init__(
            self,
            f"{url} is not ready ({said}), though it was asked for {waited_s:.0f} s: try again "
            "in a minute, or ask whoever runs it",
        )


class ServerRefused(OllamaNbError):
    """The server answered 401 or 403."""

    def __init__(self, url: str, sentence: str) -> None:
        self.url = url
        super().__init__(
            f"{url} refused the call ({sentence}). Give its token: "
            "ollama_nb.connect(url, token=...)"
        )


class NotAllowed(ServerRefused):
    """The server knows who asks, and does not let them do that; the text says whom to ask."""

    def __init__(self, url: str, sentence: str) -> None:
        self.url = url
        OllamaNbError.__init__(self, sentence)


class QuotaSpent(OllamaNbError):
    """All of a quota is used; at `retry_at` (local time) there is more."""

    def __init__(self, sentence: str, retry_at: datetime) -> None:
        self.retry_at = retry_at
        super().__init__(sentence)


class NoAccounts(OllamaNbError):
    """The server keeps no record of who used what."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"{url} keeps no accounts: only ollama_nb's own server does, where several people "
            "share it; ollama_nb.stats() has the calls of this kernel"
        )


class ModelNotFound(OllamaNbError):
    """The server has no model of that name."""

    def __init__(self, model: str, there: Sequence[str]) -> None:
        self.model = model
        self.there = tuple(there)
        known = f"It has {', '.join(self.there)}" if self.there else "It has no model yet"
        super().__init__(f"the server has no model {model!r}. {known}; see %ollama list")


class AnswerFailed(OllamaNbError):
    """The server reported an error instead of an answer, or in the middle of one."""

    def __init__(self, model: str, sentence: str, status: int) -> None:
        self.model = model
        self.status = status
        super().__init__(f"{model} did not answer: {sentence}")


class NotDone(OllamaNbError):
    """The server reported why it did not do what it was asked to do with a model."""

    def __init__(self, doing: str, model: str, sentence: str, status: int) -> None:
        self.doing = doing
        self.model = model
        self.status = status
        super().__init__(f"{doing} {model} failed: {sentence}")


class BadModelfile(OllamaNbError):
    """A Modelfile that does not follow its grammar; `line` is None where no line is to blame."""

    def __init__(self, sentence: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(sentence if line is None else f"(line {line}): {sentence}")


class NoSuchModelFile(OllamaNbError):
    """A path that a model was to be made of, and that is not there."""

    def __init__(self, text: str, folder: object) -> None:
        self.text = text
        super().__init__(f"there is no {text!r} in {folder}, the folder of this notebook")


class UnfitModelFile(OllamaNbError):
    """A file or folder that no model can be made of."""

    def __init__(self, path: object, why: str) -> None:
        self.path = path
        super().__init__(f"no model can be made of {path}: {why}")


class UnknownOption(OllamaNbError):
    """An option that no model knows and that is spelt nearly like one."""

    def __init__(self, name: str, nearest: str) -> None:
        self.name = name
        super().__init__(f"there is no option {name!r}; did you mean {nearest!r}?")


class BadValue(OllamaNbError, ValueError):
    """A value that no request can hold."""

    def __init__(self, where: str, value: object) -> None:
        kind = repr(value) if isinstance(value, float) else f"of type {type(value).__name__}"
        super().__init__(f"{where} is {kind}, which cannot be sent to a server")


class BadPurpose(OllamaNbError, ValueError):
    """A purpose of texts to embed that there is not."""

    def __init__(self, purpose: object) -> None:
        super().__init__(
            f'texts are embedded as a "query" or as a "document", not as {purpose!r}; leave it '
            "out to embed them as they are"
        )


class NoPrompt(OllamaNbError, ValueError):
    """A prompt without a word, where nothing else is given to go on from."""


class NotText(OllamaNbError, TypeError):
    """Something else than text where a text was expected."""

    def __init__(self, where: str, value: object, hint: str = "") -> None:
        kind = type(value).__name__
        super().__init__(f"{where} is {kind}, not text; {hint or _instead_of_text(value)}")


def _instead_of_text(value: object) -> str:
    """Say what to do with what is no text, which for many values is another call."""
    if hasattr(value, "columns"):
        return 'take a column, as in df["text"].llm.generate("... {{ text }} ..."), or use df.llm'
    if hasattr(value, "__iter__") and not isinstance(value, (bytes, dict)):
        return (
            "many texts at once take s.llm.generate(...) of a column, embed() and score(); "
            "for one text, turn it into a str"
        )
    return "leave it out or turn it into a str"


class BadThinking(OllamaNbError, ValueError):
    """A level of thinking, or a budget for it, that there is not."""


class NotAPicture(OllamaNbError, ValueError):
    """Something that no picture can be made of."""

    def __init__(self, sentence: str) -> None:
        super().__init__(
            f"{sentence}. A picture is a path, a file's bytes (PNG, JPEG, GIF, WebP, BMP), a PIL "
            "image, a matplotlib figure or a NumPy array of pixels"
        )


class BadMessage(OllamaNbError, ValueError):
    """Something that no message of a chat can be."""


class TooManyRounds(OllamaNbError):
    """A model that still called tools when its rounds were up; `answer` has the conversation."""

    def __init__(self, max_rounds: int) -> None:
        super().__init__(
            f"the model called tools {max_rounds} times and has not answered yet; to go on, chat("
            "error.answer.messages, ...) with the same tools, or raise max_rounds"
        )


class BadSchema(OllamaNbError, ValueError):
    """Something that no schema can be made of; `text` and `place` say where a short form fails."""

    def __init__(self, sentence: str, text: str | None = None, place: int = 0) -> None:
        self.text = text
        self.place = place
        super().__init__(sentence if text is None else f"schema, {_where(text, place)}: {sentence}")


def _where(text: str, place: int) -> str:
    line = text.count("\n", 0, place) + 1
    column = place - (text.rfind("\n", 0, place) + 1) + 1
    found = text[place:].split("\n", 1)[0].strip()
    at = f" ({found[:20]})" if found else " (the end)"
    return f"line {line}, column {column}{at}" if "\n" in text.strip() else f"column {column}{at}"


class AnswerCut(OllamaNbError, ValueError):
    """An answer that ended before its JSON did; `answer` is what there is of it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        tokens = answer.stats.answer_tokens
        after = f" after {tokens} tokens" if tokens else ""
        super().__init__(
            f"the answer was cut{after}, before its JSON ended ({answer.done_reason}). "
            + (
                "Let it be longer: raise num_predict, or num_ctx where that is the limit, "
                "as in -o num_predict=1000"
                if answer.done_reason == "length"
                else "Ask again"
            )
        )


class NotJson(OllamaNbError, ValueError):
    """An answer that is no JSON."""

    def __init__(self, answer: Answer, cause: str) -> None:
        self.answer = answer
        begin = (
            answer.text
            if len(answer.text) <= SHOWN_LETTERS
            else answer.text[:SHOWN_LETTERS] + "..."
        )
        super().__init__(
            f"the answer is no JSON ({cause}); it begins with {begin!r}. "
            + (
                'Ask for JSON with format="json" or schema=..., %%generate --schema in a cell'
                if answer.schema is None
                else "The server did not hold the model to the schema"
            )
        )


class NotFitting(OllamaNbError, ValueError):
    """An answer whose JSON is not of the type that was asked for; `.json` has it as it came."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(
            f"the answer does not fit its schema: {problems[0]}{more}; "
            "its .json holds it as it came"
        )


class NotATable(OllamaNbError, ValueError):
    """An answer whose JSON has no rows."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"the answer's JSON is {kind}, not a list or an object: it has no rows; see its .json"
        )


class BadChoices(OllamaNbError, ValueError):
    """Texts, or labels, that cannot be compared as answers."""


class MissingPackage(OllamaNbError, ImportError):
    """A package that is only needed for some things is not installed."""

    def __init__(self, package: str, extra: str, what: str) -> None:
        super().__init__(
            f"{what} needs {package}, which is not installed here: pip install {package}, "
            f"or pip install 'ollama-nb[{extra}]'"
        )


class NoModels(OllamaNbError, ValueError):
    """Models to compare that cannot be compared: none, or one twice."""


class BadRepeats(OllamaNbError, ValueError):
    """A benchmark of no calls."""

    def __init__(self, repeats: int) -> None:
        super().__init__(f"repeats is at least 1, not {repeats}: a warm-up comes on top")


class BadTemplate(OllamaNbError, ValueError):
    """A prompt whose `{{ ... }}` cannot be read, or fail with the variables or a row."""


class MagicUsage(OllamaNbError):
    """A magic was written in a way it does not understand."""


class ServerWarning(UserWarning):
    """Something the server wants the user to know, such as an option without effect."""


class CacheWarning(UserWarning):
    """Something that is wrong with a file of the cache; the work went on without it."""


class Stopped(_OneLine, KeyboardInterrupt):
    """Ctrl-C while a call was running."""


class Interrupted(Stopped):
    """Ctrl-C while a model was answering; `answer` is what had come by then.

    When that was is in `answer.stats`: what a notebook keeps is the same whenever it is run.
    """

    def __init__(self, answer: Answer, kept_in: str = "_") -> None:
        self.answer: Any = answer
        super().__init__(
            f"stopped; what had come is kept in {kept_in}"
            if answer.text or answer.tool_calls
            else "stopped before the first word"
        )


class TransferStopped(Stopped):
    """Ctrl-C while a model was pulled, pushed or created; `progress` is how far that was."""

    def __init__(self, progress: Transfer, next_time: str) -> None:
        self.progress: Any = progress
        super().__init__(
            f"{progress.doing} {progress.name} was stopped {progress.reached()}; {next_time}"
        )
