"""/api/chat (reference/ollama-http-api.md 7): messages, tools, answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from ollama_nb_server.wire.bounds import MAX_MESSAGES, MAX_TOOLS
from ollama_nb_server.wire.durations import KeepAliveField
from ollama_nb_server.wire.encoding import encoded
from ollama_nb_server.wire.errors import TooMuch
from ollama_nb_server.wire.extras import Extras
from ollama_nb_server.wire.fields import Images, Think, ThinkBudget, ToolChoice
from ollama_nb_server.wire.generate import DebugInfo, metrics
from ollama_nb_server.wire.golike import GoInt, GoModel, Text
from ollama_nb_server.wire.logprobs import Logprob, logprobs_field, num_logprobs
from ollama_nb_server.wire.times import utc


class CallFunction(GoModel):
    """The function that a tool call calls."""

    index: GoInt | None = None
    name: str = ""
    arguments: dict[str, Any] | None = None


class ToolCall(GoModel):
    """A call that an assistant's message makes."""

    id: str | None = None
    function: CallFunction = Field(default_factory=CallFunction)

    def for_template(self) -> dict[str, Any]:
        """In OpenAI's shape, arguments as an object, as chat templates expect it."""
        function = {"name": self.function.name, "arguments": self.function.arguments or {}}
        call = {"id": self.id or "", "type": "function", "function": function}
        return call | ({"index": self.function.index} if self.function.index else {})


class Message(GoModel):
    """One turn of a conversation, in and out."""

    role: Annotated[str, AfterValidator(str.lower)] = ""
    content: Text = ""
    thinking: Text | None = None
    images: Images = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Property(GoModel):
    """The schema of a tool's parameter; other keywords never reach a model."""

    any_of: list[Property] | None = Field(default=None, alias="anyOf")
    type: Annotated[list[str] | None, BeforeValidator(_list)] = None
    items: Any = None
    description: str | None = None
    enum: list[Any] | None = None
    properties: dict[str, Property] | None = None
    required: list[str] | None = None

    def document(self) -> dict[str, Any]:
        """As JSON, Ollama's order, empty ones left out."""
        kinds = self.type or []
        filled = {
            "anyOf": [p.document() for p in self.any_of or ()],
            "type": kinds[0] if len(kinds) == 1 else kinds,
            "items": self.items,
            "description": self.description,
            "enum": self.enum,
            "properties": _documents(self.properties),
            "required": self.required,
        }
        return {name: value for name, value in filled.items() if not _is_omitted(name, value)}


def _documents(properties: dict[str, Property] | None) -> dict[str, Any] | None:
    return None if properties is None else {k: p.document() for k, p in properties.items()}


def _is_omitted(name: str, value: Any) -> bool:
    """Whether Go leaves a field out: empty texts and lists, but of free values only null."""
    return value is None or (name not in ("items", "$defs") and value in ("", []))


class Parameters(GoModel):
    """The parameters of a tool."""

    _sent: dict[str, Any] = PrivateAttr(default_factory=dict)
    type: str = ""
    defs: Any = Field(default=None, alias="$defs")
    items: Any = None
    required: list[str] | None = None
    properties: dict[str, Property] | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, sent: Any, handler: ModelWrapValidatorHandler[Parameters]) -> Parameters:
        made = handler(sent)
        made._sent = sent if isinstance(sent, dict) else {}
        return made

    @property
    def schema_sent(self) -> dict[str, Any]:
        """All of the schema as it was sent, for a grammar: models see less."""
        return self._sent

    def document(self) -> dict[str, Any]:
        """As JSON: `type` and `properties` always, the rest if given."""
        extra = {"$defs": self.defs, "items": self.items, "required": self.required}
        return {
            "type": self.type,
            **{name: value for name, value in extra.items() if not _is_omitted(name, value)},
            "properties": _documents(self.properties),
        }


class ToolFunction(GoModel):
    """What a tool does."""

    name: str = ""
    description: str | None = None
    parameters: Parameters = Field(default_factory=Parameters)


class Tool(GoModel):
    """A tool that the model may call."""

    type: str = ""
    items: Any = None
    function: ToolFunction = Field(default_factory=ToolFunction)

    def for_template(self) -> dict[str, Any]:
        """As chat templates see it."""
        said = {"description": self.function.description} if self.function.description else {}
        parameters = self.function.parameters.document()
        function = {"name": self.function.name, **said, "parameters": parameters}
        items = {} if self.items is None else {"items": self.items}
        return {"type": self.type, **items, "function": function}


def _few_messages(value: Any) -> Any:
    if isinstance(value, list) and len(value) > MAX_MESSAGES:
        raise TooMuch(f"{len(value):,} messages are more than {MAX_MESSAGES:,}; send the last ones")
    return value


Messages = Annotated[list[Message] | None, BeforeValidator(_few_messages)]


def _few_tools(value: Any) -> Any:
    if isinstance(value, list) and len(value) > MAX_TOOLS:
        raise TooMuch(f"{len(value):,} tools are more than {MAX_TOOLS:,}; offer fewer")
    return value


class ChatRequest(GoModel):
    """What a client sends; None means "not given"."""

    go_name: ClassVar[str] = "ChatRequest"

    model: str | None = None
    messages: Messages = None
    stream: bool | None = None
    format: Any = None
    keep_alive: KeepAliveField = None
    tools: Annotated[list[Tool] | None, BeforeValidator(_few_tools)] = None
    tool_choice: ToolChoice = None
    options: dict[str, Any] | None = None
    think: Think = None
    think_budget: ThinkBudget = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool | None = None
    top_logprobs: GoInt | None = None
    debug_render_only: bool | None = Field(default=None, alias="_debug_render_only")


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call in an answer; `index` counts from 0 over the whole answer."""

    id: str
    index: int
    name: str
    arguments: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """As JSON, Ollama's order."""
        function = {"index": self.index, "name": self.name, "arguments": self.arguments}
        return {"id": self.id, "function": function}


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the assistant says in a chunk."""

    content: str
    role: str = "assistant"
    thinking: str = ""
    tool_calls: tuple[AnsweredCall, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON; thinking and calls only if there are some."""
        thinking = {"thinking": self.thinking} if self.thinking else {}
        calls = [call.document() for call in self.tool_calls]
        called = {"tool_calls": calls} if calls else {}
        return {"role": self.role, "content": self.content, **thinking, **called}


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """A chunk, or the whole answer. Times in nanoseconds, `created_at` since the epoch."""

    model: str
    created_at: int
    message: AssistantMessage
    done: bool = False
    done_reason: str | None = None
    debug_info: DebugInfo | None = None
    logprobs: tuple[Logprob, ...] = ()
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    warnings: tuple[str, ...] = field(default=(), compare=False)
    nb: Extras | None = field(default=None, compare=False)
    # what Ollama has no field for, in the last chunk: tokens before and after a cut, lost messages
    truncated: tuple[int, int] | None = field(default=None, compare=False)
    num_turns_dropped: int = field(default=0, compare=False)

    @property
    def num_values(self) -> int:
        """About how many values its document has."""
        return num_logprobs(self.logprobs)

    def encode(self) -> bytes:
        """The JSON document."""
        return encoded(self.document())

    def document(self) -> dict[str, Any]:
        """As JSON, fields in Ollama's order."""
        document: dict[str, Any] = {
            "model": self.model,
            "created_at": utc(self.created_at),
            "message": self.message.document(),
            "done": self.done,
        }
        if self.done:
            document["done_reason"] = self.done_reason
        if self.debug_info is not None:
            document["_debug_info"] = self.debug_info.document()
        return document | logprobs_field(self.logprobs) | metrics(self)
