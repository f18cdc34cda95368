"""One request on its way through the steps of generate or chat: what every step needs of it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.context_need import least_ctx
from ollama_nb_server.answering.generation import Stopwatch
from ollama_nb_server.answering.preparation import lease
from ollama_nb_server.answering.progress import RequestProgress
from ollama_nb_server.library.model import Model
from ollama_nb_server.scheduling.context import RequestContext
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.wire.chat import ChatRequest
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.options import Options

Request = TypeVar("Request", ChatRequest, GenerateRequest)


@dataclass(frozen=True, slots=True)
class Job(Generic[Request]):
    """A request, the model it names, and its options as they count."""

    app: AppContext
    request: Request
    context: RequestContext
    model: Model
    options: Options
    watch: Stopwatch

    def lease(self, progress: RequestProgress | None = None) -> AbstractAsyncContextManager[Lease]:
        """A worker for it."""
        ticket = None if progress is None else progress.ticket
        keep_alive = self.request.keep_alive
        least = least_ctx(self.request, self.model, self.options)
        return lease(self.app, self.context, self.model, self.options, keep_alive, ticket, least)
