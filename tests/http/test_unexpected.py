"""Errors that nobody raised on purpose: the client is told so, the log has the traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from ollama_nb_server.application import Application
from ollama_nb_server.environment import Settings
from ollama_nb_server.handlers.access import Open, Policy
from ollama_nb_server.handlers.base import INTERNAL, ApiHandler, Route
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


class Api(ApiHandler, Open):
    """As `routes.handlers` makes it."""


@pytest.fixture
async def client(tmp_path) -> AsyncIterator[httpx.AsyncClient]:
    application = Application(Settings(models=tmp_path))
    verbs = {"/at-once": at_once, "/midway": midway, "/warnings": strange_warnings}
    made = [
        (path, Api, {"route": Route(path, path, {"GET": verb}), "app": application.context})
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
