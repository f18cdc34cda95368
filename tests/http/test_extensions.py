"""Who asks is told which fields of requests, and which routes, are this server's own."""

from __future__ import annotations

import pytest
from ollama_nb_server.handlers.routes import ROUTES

HEADER = "X-Ollama-Nb-Fields"
FIELDS = ("think_budget", "tool_choice")
OWN_ROUTES = (
    *("/api/cancel", "/api/detokenize", "/api/score", "/api/stream"),
    *("/api/tokenize", "/api/usage"),
)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_version_names_the_fields_that_ollama_does_not_have(client, method) -> None:
    answer = client.request(method, "/api/version", headers={"X-Ollama-Nb-Extras": "1"})

    assert answer.headers[HEADER] == ", ".join((*FIELDS, *OWN_ROUTES))
    assert set(OWN_ROUTES) < {route.path.removesuffix("/([^/]+)") for route in ROUTES}


def test_who_does_not_ask_gets_pure_ollama(client) -> None:
    assert HEADER not in client.get("/api/version").headers
