"""/api/tokenize and /api/detokenize, which Ollama does not have: a model's tokens of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ollama_nb_server.wire.bounds import MAX_TEXT_CHARS, MAX_TEXTS
from ollama_nb_server.wire.durations import KeepAliveField
from ollama_nb_server.wire.encoding import encoded
from ollama_nb_server.wire.errors import BadTokens, PromptConflict, TooMuch
from ollama_nb_server.wire.extras import Extras
from ollama_nb_server.wire.golike import GoModel, Text


class TokenizeRequest(GoModel):
    """A text or many. `add_special`: with what the tokenizer puts around a prompt."""

    go_name: ClassVar[str] = "TokenizeRequest"

    model: str | None = None
    text: Text | None = None
    texts: list[Text] | None = None
    add_special: bool | None = None
    parse_special: bool | None = None
    keep_alive: KeepAliveField = None
    options: dict[str, Any] | None = None

    @property
    def all_texts(self) -> tuple[str, ...]:
        """The texts, one or many.

        Raises
        ------
        PromptConflict, TooMuch
        """
        if (self.text is None) == (self.texts is None):
            raise PromptConflict("give either text or texts")
        texts = (self.text,) if self.text is not None else tuple(self.texts or ())
        if len(texts) > MAX_TEXTS or sum(map(len, texts)) > MAX_TEXT_CHARS:
            raise TooMuch(
                f"texts: at most {MAX_TEXTS:,} of {MAX_TEXT_CHARS:,} letters together; send them "
                "in parts"
            )
        return texts


class DetokenizeRequest(GoModel):
    """Token ids of a text, or of many."""

    go_name: ClassVar[str] = "DetokenizeRequest"

    model: str | None = None
    tokens: Any = None
    keep_alive: KeepAliveField = None
    options: dict[str, Any] | None = None

    @property
    def is_single(self) -> bool:
        """Whether they are of one text; an empty list is."""
        return isinstance(self.tokens, list) and not any(isinstance(t, list) for t in self.tokens)

    @property
    def lists(self) -> list[list[int]]:
        """The ids of each text.

        Raises
        ------
        BadTokens
        """
        lists = [self.tokens] if self.is_single else self.tokens
        if not isinstance(lists, list) or not all(map(_are_ids, lists)):
            raise BadTokens
        return lists


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


@dataclass(frozen=True, slots=True)
class TokenizeResponse:
    """The tokens of each text; `single`: of the only one."""

    model: str
    tokens: tuple[tuple[int, ...], ...]
    single: bool
    total_duration: int = 0
    load_duration: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def nb(self) -> Extras:
        """The warnings, for who asks for them."""
        return Extras(warnings=self.warnings)

    @property
    def num_values(self) -> int:
        """About how many values its document has."""
        return sum(map(len, self.tokens)) + 3 * len(self.tokens)

    def encode(self) -> bytes:
        """The JSON document."""
        return encoded(self.document())

    def document(self) -> dict[str, Any]:
        """As JSON."""
        told = [{"tokens": list(ids), "count": len(ids)} for ids in self.tokens]
        document = {"model": self.model, **(told[0] if self.single else {"results": told})}
        return document | durations(self)


@dataclass(frozen=True, slots=True)
class DetokenizeResponse:
    """The text of each list of ids; `single`: of the only one."""

    model: str
    texts: tuple[str, ...]
    single: bool
    total_duration: int = 0
    load_duration: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def nb(self) -> Extras:
        """The warnings, for who asks for them."""
        return Extras(warnings=self.warnings)

    def encode(self) -> bytes:
        """The JSON document."""
        return encoded(self.document())

    def document(self) -> dict[str, Any]:
        """As JSON."""
        told = {"text": self.texts[0]} if self.single else {"texts": list(self.texts)}
        return {"model": self.model, **told, **durations(self)}


def durations(response: TokenizeResponse | DetokenizeResponse) -> dict[str, int]:
    """How long it took, in nanoseconds."""
    names = ("total_duration", "load_duration")
    return {name: value for name in names if (value := getattr(response, name))}
