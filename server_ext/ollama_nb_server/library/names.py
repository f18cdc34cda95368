"""Model names as values: `[scheme://][host/][namespace/]model[:tag]` (ollama-models.md 1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from ollama_nb_server.library.errors import ConflictingSource, InvalidName

DEFAULT_HOST, DEFAULT_NAMESPACE, DEFAULT_TAG = "registry.ollama.ai", "library", "latest"
GRAMMAR = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"),
    "model": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
    "tag": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
}
PARTS = ("host", "namespace", "model", "tag")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A whole, valid name; parse one, or copy one with other parts."""

    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Read a name; missing parts are the defaults.

        Raises
        ------
        InvalidName
            If a part is empty, too long, or has letters that it may not have.
        """
        return cls._checked(text, *_split(text))

    @classmethod
    def of_path(cls, parts: Iterable[str]) -> ModelName:
        """The name that four folder names below `manifests` stand for."""
        host, namespace, model, tag = parts
        return cls._checked("/".join((host, namespace, model, tag)), host, namespace, model, tag)

    @classmethod
    def _checked(cls, text: str, *parts: str) -> ModelName:
        if all(GRAMMAR[kind].fullmatch(part) for kind, part in zip(PARTS, parts, strict=True)):
            return cls(*parts)
        raise InvalidName(text)

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Host, namespace, model, tag: the folders of its manifest."""
        return (self.host, self.namespace, self.model, self.tag)

    @property
    def display(self) -> str:
        """The short form, tag always shown: `llama3:latest`, `u/m:t`, `hf.co/u/m:Q4_K_M`."""
        name = f"{self.model}:{self.tag}"
        if self.host.casefold() != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{name}"
        if self.namespace.casefold() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{name}"
        return name

    @property
    def full(self) -> str:
        """All parts: `registry.ollama.ai/library/llama3:latest`."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    def folded(self, stored: Iterable[ModelName]) -> ModelName:
        """Each part in the spelling of an existing name that differs only in case (1.4)."""
        spelled = list(self.parts)
        for name in stored:
            for i, part in enumerate(name.parts):
                if part.casefold() == spelled[i].casefold():
                    spelled[i] = part
        return replace(self, **dict(zip(PARTS, spelled, strict=True)))


def completed(text: str) -> str:
    """A name with the defaults filled in, valid or not: what an error shows."""
    host, namespace, model, tag = _split(text)
    return f"{host}/{namespace}/{model}:{tag}"


def _split(text: str) -> tuple[str, str, str, str]:
    rest, tag = text, DEFAULT_TAG
    if rest.rfind(":") > rest.rfind("/"):
        rest, _, tag = rest.rpartition(":")
    rest, slash, model = rest.rpartition("/")
    if not slash:
        return DEFAULT_HOST, DEFAULT_NAMESPACE, model, tag
    rest, slash, namespace = rest.rpartition("/")
    return rest.rpartition("://")[2] if slash else DEFAULT_HOST, namespace, model, tag


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A name as a request gives it, and where the model is to come from.

    `literal` is the same text where its suffix is no word about the source but part of the tag, as
    in the names of models that real Ollamas have pulled from the cloud: `m:8b-cloud`, `m:cloud`.
    `is_bare`: it has neither host nor namespace.
    """

    name: ModelName
    source: Literal["local", "cloud"] | None = None
    literal: ModelName | None = None
    is_bare: bool = False


def parse_ref(text: str) -> ModelRef:
    """Read a request's model: blanks around it dropped, `:cloud`, `-cloud`, `:local` taken off.

    Raises
    ------
    InvalidName, ConflictingSource
        The former with the text as it was sent.
    """
    bare, source = _source(text.strip(), text)
    if source is not None and _source(bare, text)[1] is not None:
        raise ConflictingSource(text.strip())
    try:
        return ModelRef(
            ModelName.parse(bare), source, _literal(text.strip(), bare, source), "/" not in bare
        )
    except InvalidName as error:
        raise InvalidName(text) from error


def _literal(text: str, bare: str, source: str | None) -> ModelName | None:
    """`m:8b:cloud` is no name, but another way to write `m:8b-cloud`."""
    if source is None:
        return None
    for spelling in (text, f"{bare}-cloud") if source == "cloud" else (text,):
        with suppress(InvalidName):
            return ModelName.parse(spelling)
    return None


def _source(bare: str, text: str) -> tuple[str, Literal["local", "cloud"] | None]:
    head, colon, tag = bare.rpartition(":")
    if colon and tag.casefold() == "cloud":
        return head, "cloud"
    if colon and tag.casefold() == "local":
        return head, "local"
    if colon and "/" not in tag and tag.casefold().endswith("-cloud"):
        return bare[: -len("-cloud")], "cloud"
    return bare, None
