"""What a model is to be made of, checked as far as it can be without the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ollama_nb_server.gotemplate.analysis import KNOWN_FUNCTIONS
from ollama_nb_server.gotemplate.errors import LimitExceeded, SyntaxFault
from ollama_nb_server.gotemplate.limits import DEFAULT_LIMITS
from ollama_nb_server.gotemplate.parser import parse_trees
from ollama_nb_server.library.errors import (
    BadInfo,
    BadLicense,
    BadTemplate,
    InvalidDigest,
    NothingToCreateFrom,
    NotRelative,
    OneAdapterOnly,
    UnknownFileType,
)
from ollama_nb_server.library.manifest import Manifest
from ollama_nb_server.library.names import ModelName

TEXT_FACTS = ("model_family", "base_name", "quantization_level", "parameter_size")
NUMBER_FACTS = ("context_length", "embedding_length")
# Names in `info` -> fields of the config.
CONFIG_FIELDS = {"quantization_level": "file_type", "parameter_size": "model_type"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """None or empty: not given.

    `owner`: the user whose own it will be. `admit` raises what is against the whole model.
    """

    name: ModelName
    source: ModelName | None = None
    files: Mapping[str, str] | None = None
    adapters: Mapping[str, str] | None = None
    drafts: Mapping[str, str] | None = None
    template: str = ""
    system: str = ""
    license: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] = ()
    quantize: str = ""
    draft_quantize: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    admit: Callable[[Manifest], None] | None = None

    def check(self) -> None:
        """Refuse what is wrong whatever the store holds.

        Raises
        ------
        NothingToCreateFrom, NotRelative, InvalidDigest, UnknownFileType, OneAdapterOnly
        BadLicense, BadInfo, BadTemplate
        """
        for files in (self.files, self.adapters, self.drafts):
            for path, digest in (files or {}).items():
                check_path(path)
                if not digest:
                    raise InvalidDigest(digest)
        if self.source is None and self.files is None:
            raise NothingToCreateFrom
        if self.source is None and not self.files:
            raise UnknownFileType
        if sum(path.endswith(".gguf") for path in self.adapters or ()) > 1:
            raise OneAdapterOnly
        check_template(self.template)
        licenses(self.license)
        facts(self.info)


def check_path(path: str) -> None:
    """Refuse a file name that leads out of its folder."""
    pure = PurePosixPath(path.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or not path or path[1:2] == ":":
        raise NotRelative(path)


def check_template(text: str) -> None:
    """Refuse a Go template that cannot be parsed."""
    try:
        parse_trees(text, KNOWN_FUNCTIONS, DEFAULT_LIMITS)
    except SyntaxFault as error:
        raise BadTemplate(str(error), error.line, error.column + 1) from error
    except LimitExceeded as error:
        raise BadTemplate(str(error)) from error


def licenses(value: Any) -> list[str]:
    """`license` as a list of texts.

    Raises
    ------
    BadLicense
        For anything but a text or a list of texts.
    """
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return value
    kinds = {bool: "bool", int: "number", float: "number", dict: "object"}
    raise BadLicense(kinds.get(type(value), "array"))


def facts(info: Mapping[str, Any]) -> dict[str, Any]:
    """`info` as fields of the config; names that it does not know are left out.

    Raises
    ------
    BadInfo
        For a value of another kind.
    """
    found: dict[str, Any] = {}
    for key in (key for key in TEXT_FACTS if info.get(key) is not None):
        if not isinstance(info[key], str):
            raise BadInfo(key, "a string")
        found[CONFIG_FIELDS.get(key, key)] = info[key]
    for key in (key for key in NUMBER_FACTS if info.get(key) is not None):
        found[key] = _count(key, info[key])
    if isinstance(abilities := info.get("capabilities"), list):
        found["capabilities"] = tuple(text for text in abilities if isinstance(text, str))
    return found


def _count(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInfo(key, "a number")
    if value < 0 or value != int(value):
        raise BadInfo(key, "a non-negative integer")
    return int(value)
