"""/api/generate (reference/ollama-http-api.md 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from ollama_nb_server.wire.durations import KeepAliveField
from ollama_nb_server.wire.encoding import encoded
from ollama_nb_server.wire.extras import Extras
from ollama_nb_server.wire.fields import Images, Think, ThinkBudget
from ollama_nb_server.wire.golike import GoInt, GoModel, Text
from ollama_nb_server.wire.logprobs import Logprob, logprobs_field, num_logprobs
from ollama_nb_server.wire.times import utc


class GenerateRequest(GoModel):
    """What a client sends; None means "not given"."""

    go_name: ClassVar[str] = "GenerateRequest"

    model: str | None = None
    prompt: Text | None = None
    suffix: Text | None = None
    system: Text | None = None
    template: Text | None = None
    context: list[GoInt] | None = None
    stream: bool | None = None
    raw: bool | None = None
    format: Any = None
    keep_alive: KeepAliveField = None
    images: Images = None
    options: dict[str, Any] | None = None
    think: Think = None
    think_budget: ThinkBudget = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool | None = None
    top_logprobs: GoInt | None = None
    debug_render_only: bool | None = Field(default=None, alias="_debug_render_only")


@dataclass(frozen=True, slots=True)
class DebugInfo:
    """The rendered prompt instead of an answer."""

    rendered_template: str
    image_count: int = 0

    def document(self) -> dict[str, Any]:
        """As JSON; a count of 0 is left out."""
        count = {"image_count": self.image_count} if self.image_count else {}
        return {"rendered_template": self.rendered_template, **count}


METRICS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)


def metrics(response: Any) -> dict[str, int]:
    """The figures of a last chunk; zeros are left out."""
    return {name: value for name in METRICS if (value := getattr(response, name))}


@dataclass(frozen=True, slots=True)
class GenerateResponse:
    """A chunk, or the whole answer. Times in nanoseconds, `created_at` since the epoch."""

    model: str
    created_at: int
    response: str
    done: bool = False
    done_reason: str | None = None
    context: list[int] | None = None
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    debug_info: DebugInfo | None = None
    logprobs: tuple[Logprob, ...] = ()
    thinking: str = ""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    nb: Extras | None = field(default=None, compare=False)
    # what Ollama has no field for, in the last chunk: tokens before and after a cut
    truncated: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def num_values(self) -> int:
        """About how many values its document has."""
        return len(self.context or ()) + num_logprobs(self.logprobs)

    def encode(self) -> bytes:
        """The JSON document."""
        return encoded(self.document())

    def document(self) -> dict[str, Any]:
        """As JSON, fields in Ollama's order."""
        document: dict[str, Any] = {
            "model": self.model,
            "created_at": utc(self.created_at),
            "response": self.response,
            **({"thinking": self.thinking} if self.thinking else {}),
            "done": self.done,
        }
        if self.done:
            document["done_reason"] = self.done_reason
            if self.context:
                document["context"] = self.context
            document |= metrics(self)
        if self.debug_info is not None:
            document["_debug_info"] = self.debug_info.document()
        return document | logprobs_field(self.logprobs)
