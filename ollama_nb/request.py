"""One question to the server: what is sent, and how a message of its answer is read.

`asking` sends it and collects the answer; errors are raised as the `ollama` client raises them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ollama_nb.calling import raise_error
from ollama_nb.lines import ACCEPT, documents, documents_async
from ollama_nb.phases import EXTRAS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Mapping

    import httpx

    from ollama_nb.schemas import Schema


@dataclass(frozen=True, slots=True)
class Part:
    """A message of an answer as the `ollama` client has it, and what our server adds to it."""

    message: Any
    nb: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One question: the verb, the model, and the fields of Ollama's request that are set.

    `schema` is the form of the answer, which is sent as `format`.
    """

    verb: Literal["generate", "chat"]
    model: str
    fields: Mapping[str, Any]
    schema: Schema | None = None

    @property
    def prompt(self) -> str:
        """What is asked, as text: the prompt, or the last message."""
        if self.verb == "generate":
            return str(self.fields["prompt"])
        return str(self.fields["messages"][-1].get("content", ""))

    def parts(self, http: httpx.Client) -> Generator[Part, None, None]:
        """Ask, and yield the messages of the answer; closing this stops the server.

        Raises
        ------
        ollama.ResponseError, httpx.TransportError, ValueError
            Meant for `translated`.
        """
        with http.stream(**self._call()) as response:
            if response.is_error:
                response.read()
            raise_error(response)
            for document in documents(response):
                yield self._read(document)

    async def parts_async(self, http: httpx.AsyncClient) -> AsyncIterator[Part]:
        """Ask on an event loop, otherwise as `parts`."""
        async with http.stream(**self._call()) as response:
            if response.is_error:
                await response.aread()
            raise_error(response)
            async for document in documents_async(response):
                yield self._read(document)

    def _call(self) -> dict[str, Any]:
        """Return the arguments of httpx's `stream`."""
        return {
            "method": "POST",
            "url": f"/api/{self.verb}",
            "content": json.dumps(self._body()),  # in ASCII: a lone surrogate can be sent too
            "headers": {"Content-Type": "application/json", **ACCEPT, **EXTRAS},
            "timeout": None,  # a model may take its time
            "follow_redirects": True,
        }

    def _body(self) -> dict[str, Any]:
        given = {name: value for name, value in self.fields.items() if value is not None}
        if "messages" in given:
            given["messages"] = [_sent(message) for message in given["messages"]]
        form = {} if self.schema is None else {"format": self.schema.format}
        return {"model": self.model, "stream": True, **given, **form}

    def _read(self, document: Any) -> Part:
        """Read a message of the answer."""
        import ollama

        if isinstance(document, dict) and (error := document.get("error")):
            raise ollama.ResponseError(str(error))
        kind = ollama.ChatResponse if self.verb == "chat" else ollama.GenerateResponse
        message = kind.model_validate(document)
        nb = document.get("nb")
        return Part(message, nb if isinstance(nb, dict) else {})


def _sent(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as JSON; pictures are files, bytes or base64, as the client takes them."""
    import ollama

    given = {name: value for name, value in message.items() if value}
    if "images" in given:
        given["images"] = [ollama.Image(value=image) for image in given["images"]]
    return ollama.Message.model_validate(given).model_dump(exclude_none=True)
