"""What a handler does with errors that nobody expected, with strange warnings, with long answers."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
from ollama_nb_server.application import Application
from ollama_nb_server.environment import Settings
from ollama_nb_server.handlers.access import Open, Policy
from ollama_nb_server.handlers.base import ApiHandler, Route
from ollama_nb_server.handlers.body_memory import BodyMemory
from ollama_nb_server.handlers.writing import INTERNAL
from ollama_nb_server.wire.embed import EmbedResponse
from ollama_nb_server.wire.encoding import pieces
from ollama_nb_server.wire.golike import GoModel, read
from ollama_nb_server.wire.models import Encoded, ProgressResponse
from tornado import httpserver, netutil, web

UNEXPECTED = "a fault of ours\u2028"


async def at_once(handler: ApiHandler) -> None:
    raise RuntimeError(UNEXPECTED)


async def midway(handler: ApiHandler) -> None:
    async def lines() -> AsyncIterator[ProgressResponse]:
        yield ProgressResponse("it begins")
        raise RuntimeError(UNEXPECTED)

    await handler.answer(lines())


async def strange_warnings(handler: ApiHandler) -> None:
    await handler.answer(Encoded.of({}, "line\nfeed; é \u2028", "x" * 10_000))


async def long_answer(handler: ApiHandler) -> None:
    await handler.answer(EmbedResponse("m", np.zeros((2000, 30), np.float32)))


async def reading(handler: ApiHandler) -> None:
    await handler.read(GoModel)
    handler.send(b"", None)


class Api(ApiHandler, Open):
    """As `routes.handlers` makes it."""


@pytest.fixture
async def client(tmp_path) -> AsyncIterator[httpx.AsyncClient]:
    application = Application(Settings(models=tmp_path))
    verbs = {
        "/at-once": at_once,
        "/midway": midway,
        "/warnings": strange_warnings,
        "/long": long_answer,
        "/reading": reading,
    }
    made = [
        (
            path,
            Api,
            {
                "route": Route(path, path, {"GET": verb, "POST": verb}),
                "app": application.context,
                "bodies": BodyMemory(),
            },
        )
        for path, verb in verbs.items()
    ]
    server = httpserver.HTTPServer(web.Application(made, policy=Policy()))
    sockets = netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client
    server.stop()
    await server.close_all_connections()
    await application.close()


def traceback_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(record.exc_info[1]) for record in caplog.records if record.exc_info]


async def test_before_the_answer_it_is_a_500(client, caplog) -> None:
    with caplog.at_level(logging.INFO):
        answer = await client.get("/at-once")

    assert (answer.status_code, answer.json()) == (500, {"error": INTERNAL})
    assert traceback_of(caplog) == [UNEXPECTED]


async def test_midway_it_is_the_last_line(client, caplog) -> None:
    with caplog.at_level(logging.INFO):
        answer = await client.get("/midway")

    assert [json.loads(line) for line in answer.text.splitlines()] == [
        {"status": "it begins"},
        {"error": INTERNAL},
    ]
    assert traceback_of(caplog) == [UNEXPECTED]


async def test_warnings_fit_a_header_whatever_they_say(client) -> None:
    answer = await client.get("/warnings")

    assert answer.status_code == 200
    assert answer.headers["X-Ollama-Nb-Warnings"].startswith("line?feed, ? ?; xxx")
    assert len(answer.headers["X-Ollama-Nb-Warnings"]) < 5000


async def test_others_have_their_turn_between_the_pieces_of_a_long_answer(
    client, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_turns, turns_at = 0, []

    async def other() -> None:
        nonlocal num_turns
        while True:
            num_turns += 1
            await asyncio.sleep(0)

    def counted(document: dict[str, Any]) -> Iterator[bytes]:
        for piece in pieces(document):
            turns_at.append(num_turns)
            yield piece

    monkeypatch.setattr("ollama_nb_server.handlers.writing.pieces", counted)
    task = asyncio.ensure_future(other())
    answer = await client.get("/long")
    task.cancel()

    assert len(answer.json()["embeddings"]) == 2000
    assert len(turns_at) > 10
    assert all(before < after for before, after in pairwise(turns_at))


@pytest.mark.parametrize(("size", "thread"), [(10, "MainThread"), (1 << 17, "readers")])
async def test_long_bodies_are_read_beside_the_event_loop(
    client, monkeypatch: pytest.MonkeyPatch, size: int, thread: str
) -> None:
    threads = []

    def noted(kind: type[GoModel], body: bytes) -> GoModel:
        threads.append(threading.current_thread().name)
        return read(kind, body)

    monkeypatch.setattr("ollama_nb_server.handlers.base.read", noted)
    answer = await client.post("/reading", content=b"{" + b" " * size + b"}")

    assert answer.status_code == 200
    assert [name.partition("_")[0] for name in threads] == [thread]
