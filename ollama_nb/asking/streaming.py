"""Ask the server and collect the answer: stream it, retry a lost server, keep what Ctrl-C leaves.

`generating` and `chatting` say what is asked, `display` shows it, `failures` names errors.
"""

from __future__ import annotations

import contextlib
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ollama_nb.answers import cuts, statistics
from ollama_nb.answers.call_stats import CallStats
from ollama_nb.answers.generation import Generation
from ollama_nb.answers.tool_call import ToolCall
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.connection.patience import WAITING
from ollama_nb.connection.phases import in_words
from ollama_nb.display.cell import running_cell
from ollama_nb.errors import (
    AnswerFailed,
    Interrupted,
    OllamaNbError,
    ServerWarning,
    ServerWentAway,
)
from ollama_nb.warning import warn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping

    from ollama_nb.asking.request import Part, Request
    from ollama_nb.connection.connection import Connection
    from ollama_nb.display.screens import Screen


@dataclass(slots=True)
class Arriving:
    """An answer while it arrives; `finish` turns it into a `Generation` and records the call."""

    request: Request
    text: str = ""
    thinking: str = ""
    tool_calls: list[Mapping[str, Any]] = field(default_factory=list)
    last: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    started_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    waiting: str = ""  # for what, while there is no answer
    is_streamed: bool = True  # else nobody knows when its first token came
    cell: int | None = field(default_factory=running_cell)
    _start_s: float = field(default_factory=time.perf_counter)
    _first_token_s: float | None = None

    def add(self, part: Part) -> None:
        """Take in one message of the stream."""
        message = part.message
        said = message.message if self.request.verb == "chat" else message
        text = said.content if self.request.verb == "chat" else said.response
        self.text += text or ""
        self.thinking += said.thinking or ""
        self.tool_calls += part.tool_calls
        begun = bool(text or said.thinking or part.tool_calls)
        if begun and self.is_streamed and self._first_token_s is None:
            self._first_token_s = time.perf_counter() - self._start_s
        self.waiting = in_words(part.nb)
        self.warnings = _merged(self.warnings, part.nb.get("warnings", ()))
        if message.done:
            self.last = {**message.model_dump(), "nb": part.nb}

    def finish(self, done_reason: str | None = None) -> Generation:
        """Return the answer so far and write its row of statistics."""
        request = self.request
        stats = CallStats.from_wire(
            self.last,
            started_at=self.started_at,
            elapsed_s=time.perf_counter() - self._start_s,
            first_token_s=self._first_token_s,
        )
        reason = done_reason or self.last.get("done_reason")
        statistics.record(request.verb, request.model, reason, stats, self.cell)
        options = request.fields.get("options") or {}
        cut = cuts.of_answer(reason, stats.answer_tokens, options)
        return Generation(
            self.text,
            model=request.model,
            prompt=request.prompt,
            messages=self._messages(),
            done_reason=reason,
            thinking=self.thinking,
            context=self.last.get("context"),
            stats=stats,
            warnings=_merged(self.warnings, [cut] if cut else []),
            cut=cut or "",
            schema=request.schema,
            tool_calls=[ToolCall.from_wire(call) for call in self.tool_calls],
        )

    def _messages(self) -> list[dict[str, Any]]:
        """Return the conversation with the answer, if there is anything of it."""
        if self.request.verb != "chat":
            return []
        thinking = {"thinking": self.thinking} if self.thinking else {}
        calls = {"tool_calls": self.tool_calls} if self.tool_calls else {}
        said = {"role": "assistant", "content": self.text, **thinking, **calls}
        return [
            *self.request.fields["messages"],
            *([said] if self.text or thinking or calls else []),
        ]


def _merged(known: list[str], more: Iterable[str]) -> list[str]:
    """Return each warning once: the header and the last message tell the same ones."""
    return list(dict.fromkeys([*known, *more]))


def ask(request: Request, screen: Screen) -> Generation:
    """Ask, show the answer as it arrives, and return it.

    Raises
    ------
    Interrupted
        On Ctrl-C, with the answer so far; leaving the stream has stopped the engine.
    OllamaNbError
        When the server reports an error or goes away; what had come stays on the screen.
    """
    arriving = Arriving(request)
    try:
        screen.show_sent(request.pictures)
        screen.open()
        _receive(arriving, screen)
        answer = arriving.finish()
        screen.finish(answer)
    except KeyboardInterrupt:
        answer = arriving.finish("interrupted")
        screen.finish(answer)
        raise Interrupted(answer) from None
    except OllamaNbError as error:
        error.answer = arriving.finish("error")
        screen.finish(error.answer)
        raise
    finally:
        screen.close()
    for warning in arriving.warnings:  # the answer's own cut stands below it
        warn(warning, ServerWarning)
    return answer


def _receive(arriving: Arriving, screen: Screen) -> None:
    def tell(waiting: str) -> None:
        screen.update("", "", waiting)

    with contextlib.closing(_parts(arriving.request, arriving, tell)) as parts:
        for part in parts:
            arriving.add(part)
            screen.update(arriving.text, arriving.thinking, arriving.waiting)


def _parts(
    request: Request, arriving: Arriving, tell: Callable[[str], None]
) -> Generator[Part, None, None]:
    """Stream the answer; a server found dead before the first word is looked for once more."""
    connection, stream, first = _begin(request, tell)
    arriving.warnings = [*connection.warnings, *request.unheeded(connection.extensions)]
    with contextlib.closing(stream), translated(connection, request.model):
        yield first
        yield from stream


def _begin(request: Request, tell: Callable[[str], None]) -> tuple[Connection, Any, Any]:
    """Send the request and wait for the first message of its answer."""
    import httpx

    try:
        return _first(request, tell)
    except ServerWentAway as error:
        if not isinstance(error.__cause__, httpx.ConnectError):
            raise
        return _first(request, tell)


def _first(request: Request, tell: Callable[[str], None]) -> tuple[Connection, Any, Any]:
    connection = current()
    stream = request.parts(connection.http, known=connection.extensions, tell=lambda: tell(WAITING))
    try:
        with translated(connection, request.model):
            return connection, stream, next(stream)
    except StopIteration:
        raise AnswerFailed(request.model, "the server sent an empty answer", 200) from None


async def ask_async(request: Request, on_news: Callable[[str, str, str], None]) -> Generation:
    """Ask on an event loop.

    `on_news` is called after each message: with the answer so far, what was thought before it,
    and what is waited for as long as there is neither.

    Cancelling the task closes the stream, which stops the engine; the answer so far is returned
    with `done_reason` "interrupted".

    Raises
    ------
    OllamaNbError
        When the server reports an error or goes away; its `answer` is what had come.
    """
    import asyncio

    arriving = Arriving(request, cell=None)  # a widget asks, whatever cell runs meanwhile
    try:
        async with aclosing(_async_parts(request, on_news)) as parts:
            async for part in parts:
                arriving.add(part)
                on_news(arriving.text, arriving.thinking, arriving.waiting)
    except asyncio.CancelledError:
        return arriving.finish("interrupted")
    except OllamaNbError as error:
        error.answer = arriving.finish("error")
        raise
    return arriving.finish()


async def _async_parts(
    request: Request, on_news: Callable[[str, str, str], None]
) -> AsyncGenerator[Part, None]:
    connection = current()
    async with connection.async_http() as http:
        known = connection.extensions
        answer = request.parts_async(http, known=known, tell=lambda: on_news("", "", WAITING))
        with translated(connection, request.model):
            async with aclosing(answer) as parts:
                async for part in parts:
                    yield part
