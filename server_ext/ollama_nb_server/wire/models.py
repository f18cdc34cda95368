"""The requests and answers of model management (reference/ollama-http-api.md 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from ollama_nb_server.wire.chat import Message
from ollama_nb_server.wire.encoding import encoded
from ollama_nb_server.wire.golike import GoModel


class NamedRequest(GoModel):
    """A request about one model, by `model` or the old `name`."""

    model: str | None = None
    name: str | None = None

    @property
    def asked(self) -> str:
        """The name as it was sent; `model` counts if both are there."""
        return self.model or self.name or ""


class ShowRequest(NamedRequest):
    """/api/show."""

    go_name: ClassVar[str] = "ShowRequest"
    verbose: bool | None = None
    system: str | None = None
    template: str | None = None
    options: dict[str, Any] | None = None


class DeleteRequest(NamedRequest):
    """/api/delete."""

    go_name: ClassVar[str] = "DeleteRequest"


class CopyRequest(GoModel):
    """/api/copy."""

    go_name: ClassVar[str] = "CopyRequest"
    source: str | None = None
    destination: str | None = None


class PullRequest(NamedRequest):
    """/api/pull."""

    go_name: ClassVar[str] = "PullRequest"
    insecure: bool | None = None
    stream: bool | None = None


class PushRequest(PullRequest):
    """/api/push."""

    go_name: ClassVar[str] = "PushRequest"


class CreateRequest(NamedRequest):
    """/api/create, the fields of today and of 2023."""

    go_name: ClassVar[str] = "CreateRequest"
    stream: bool | None = None
    source: str | None = Field(default=None, alias="from")
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    template: str | None = None
    system: str | None = None
    license: Any = None
    parameters: dict[str, Any] | None = None
    messages: list[Message] | None = None
    quantize: str | None = None
    quantization: str | None = None
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    remote_host: str | None = None
    info: dict[str, Any] | None = None
    draft_files: dict[str, str] | None = None
    draft_quantize: str | None = None
    modelfile: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """An answer that is a JSON object as it stands."""

    fields: dict[str, Any]

    def encode(self) -> bytes:
        """The JSON document."""
        return encoded(self.fields)


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer that was encoded in a thread, since it may be long."""

    json: bytes
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: dict[str, Any], *warnings: str) -> Encoded:
        """Encode an object; NumPy's arrays are lists, 32-bit floats in their shortest form."""
        return cls(encoded(fields), warnings)

    def encode(self) -> bytes:
        """The JSON document."""
        return self.json


@dataclass(frozen=True, slots=True)
class ProgressResponse:
    """One line of a create, pull or push; zeros and empty texts are left out."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0

    def encode(self) -> bytes:
        """The JSON document."""
        extra = {"digest": self.digest, "total": self.total, "completed": self.completed}
        return encoded({"status": self.status, **{k: v for k, v in extra.items() if v}})
