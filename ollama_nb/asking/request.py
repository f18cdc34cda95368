"""One question to the server: what is sent, and how a message of its answer is read.

`streaming` sends it and collects the answer; errors are raised as the `ollama` client raises them.
"""

from __future__ import annotations

from contextlib import aclosing, closing
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from ollama_nb.connection.bodies import as_json
from ollama_nb.connection.calling import JSON
from ollama_nb.connection.lines import ACCEPT
from ollama_nb.connection.phases import EXTRAS
from ollama_nb.connection.resuming import resumable, whole_stream, whole_stream_async

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Container, Generator, Mapping, Sequence

    import httpx

    from ollama_nb.answers.schemas import Schema
    from ollama_nb.pictures.picture import Picture

    Tell = Callable[[], object]

# Extension -> what to say where it has no effect.
UNHEEDED = {
    "think_budget": "think_budget={} had no effect: only ollama_nb's own server knows it",
    "tool_choice": "tool_choice={} had no effect: only ollama_nb's own server knows it",
}
KEPT_ANYWAY = ("auto", "none")  # choices of tools that other servers' answers keep to as well


@dataclass(frozen=True, slots=True)
class Part:
    """A message of an answer as the `ollama` client has it, and what our server adds to it."""

    message: Any
    nb: Mapping[str, Any]
    tool_calls: Sequence[Mapping[str, Any]] = ()  # as they came: the client drops their ids


@dataclass(frozen=True, slots=True)
class Request:
    """One question: the verb, the model, and the fields of Ollama's request that are set.

    `schema` is the form of the answer, which is sent as `format`. `extensions` are fields that
    Ollama does not have: only a server that names them is sent them.
    """

    verb: Literal["generate", "chat"]
    model: str
    fields: Mapping[str, Any]
    schema: Schema | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """What is asked, as text: the prompt, or the last message."""
        if self.verb == "generate":
            return str(self.fields["prompt"])
        return str(self.fields["messages"][-1].get("content", ""))

    @property
    def pictures(self) -> list[Picture]:
        """What is asked about: the pictures of the prompt, or of the last message."""
        asked = self.fields if self.verb == "generate" else self.fields["messages"][-1]
        return list(asked.get("images") or ())

    @property
    def question(self) -> dict[str, Any]:
        """All that an answer depends on beside the model's weights; equal ones ask the same."""
        fields = self._given()
        fields.pop("keep_alive", None)
        fields["options"] = dict(sorted((fields.get("options") or {}).items()))
        form = {} if self.schema is None else {"format": self.schema.format}
        return {"verb": self.verb, **fields, **self.extensions, **form}

    def parts(
        self, http: httpx.Client, *, known: Container[str], tell: Tell | None = None
    ) -> Generator[Part, None, None]:
        """Ask, and yield the messages of the answer; closing this stops the server.

        A connection that is lost on the way is replaced by another one where the server is ours.

        Parameters
        ----------
        known
            The extensions that the server knows.
        tell
            Called wherever the server is away for a moment, before it is asked again.

        Raises
        ------
        ollama.ResponseError, httpx.TransportError, ValueError
            Meant for `translated`.
        """
        with closing(whole_stream(http, self._call(known, tell=tell))) as documents:
            for document in documents:
                yield self._read(document)

    async def parts_async(
        self,
        http: httpx.AsyncClient,
        *,
        known: Container[str],
        headers: Mapping[str, str] = MappingProxyType({}),
        stream: bool = True,
        tell: Tell | None = None,
    ) -> AsyncGenerator[Part, None]:
        """Ask on an event loop, otherwise as `parts`.

        Without `stream` the answer comes as one message, which costs less than a message a token;
        of a server of ours there are heartbeats before it, without text.
        """
        call = self._call(known, stream=stream, headers=headers, tell=tell)
        async with aclosing(whole_stream_async(http, call)) as documents:
            async for document in documents:
                yield self._read(document)

    def unheeded(self, known: Container[str]) -> list[str]:
        """Say what has no effect at a server that knows these extensions."""
        lost = {name: value for name, value in self.extensions.items() if name not in known}
        return [
            UNHEEDED[name].format(value) for name, value in lost.items() if value not in KEPT_ANYWAY
        ]

    def _call(
        self,
        known: Container[str],
        *,
        stream: bool = True,
        headers: Mapping[str, str] = MappingProxyType({}),
        tell: Tell | None = None,
    ) -> dict[str, Any]:
        """Return the arguments of httpx's `stream`."""
        from ollama_nb.connection.clients import TELL

        return {
            "method": "POST",
            "url": f"/api/{self.verb}",
            "content": as_json(self.body(known, stream=stream)),
            "headers": {**JSON, **ACCEPT, **EXTRAS, **resumable(known), **headers},
            "timeout": None,  # a model may take its time
            "extensions": {TELL: tell},
            "follow_redirects": True,
        }

    def body(self, known: Container[str], *, stream: bool = True) -> dict[str, Any]:
        """Return what is posted to a server that knows these extensions."""
        more = {name: value for name, value in self.extensions.items() if name in known}
        given = self._given()
        if self.extensions.get("tool_choice") == "none" and "tool_choice" not in more:
            given.pop("tools", None)  # no other server can be told to leave them alone
        form = {} if self.schema is None else {"format": self.schema.format}
        return {"model": self.model, "stream": stream, **given, **more, **form}

    def _given(self) -> dict[str, Any]:
        """Return the fields that are set; the question tells of the schema, if that is to be."""
        given = {name: value for name, value in self.fields.items() if value is not None}
        told = self.schema.told if self.schema else ""
        if not told or given.get("suffix"):
            return given
        if self.verb == "generate":
            return {**given, "prompt": f"{given['prompt']}\n\n{told}"}
        *before, last = given["messages"]
        if last.get("role") == "user":
            content = f"{last.get('content', '')}\n\n{told}"
            given["messages"] = [*before, {**last, "content": content}]
        return given

    def _read(self, document: Any) -> Part:
        """Read a message of the answer."""
        import ollama

        if isinstance(document, dict) and (error := document.get("error")):
            raise ollama.ResponseError(str(error))
        kind = ollama.ChatResponse if self.verb == "chat" else ollama.GenerateResponse
        message = kind.model_validate(document)
        nb = document.get("nb")
        said = document.get("message") or {}
        return Part(message, nb if isinstance(nb, dict) else {}, said.get("tool_calls") or ())
