"""Who asks is told which fields of requests are this server's own."""

from __future__ import annotations

import pytest

HEADER = "X-Ollama-Nb-Fields"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_version_names_the_fields_that_ollama_does_not_have(client, method) -> None:
    answer = client.request(method, "/api/version", headers={"X-Ollama-Nb-Extras": "1"})

    assert answer.headers[HEADER] == "think_budget, tool_choice"


def test_who_does_not_ask_gets_pure_ollama(client) -> None:
    assert HEADER not in client.get("/api/version").headers
