"""Who leaves `/ollama` out inside Jupyter is told where the API is; Jupyter's own routes stay."""

from __future__ import annotations

import re

import httpx
import pytest
from ollama_nb_server.handlers.routes import ROUTES

LEFT_OUT = [
    (method, re.sub(r"\(?\[\^/\]\+\)?", "x", route.path))
    for route in ROUTES
    for method in route.methods
    if route.path.startswith(("/api/", "/v1/")) and route.path not in ("/api/status", "/api/me")
]
OF_JUPYTER = [
    "api", "api/status", "api/me", "api/contents", "api/kernels", "api/kernelspecs", "api/sessions",
    "api/terminals", "api/spec.yaml", "api/nbconvert", "metrics",
]  # fmt: skip


@pytest.fixture
def api(jupyter_server):
    base = jupyter_server.url.removesuffix("/ollama")
    with httpx.Client(base_url=base, headers=jupyter_server.headers, timeout=30) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), LEFT_OUT)
def test_a_path_without_ollama_gets_a_hint_in_json_behind_the_login(api, method, path) -> None:
    answer = api.request(method, path)
    stranger = httpx.request(method, f"{api.base_url}".rstrip("/") + path, trust_env=False)

    assert (answer.status_code, stranger.status_code) == (404, 403)
    assert answer.headers["content-type"].startswith("application/json")
    if method != "HEAD":
        error = answer.json()["error"]
        sentence = error if isinstance(error, str) else error["message"]
        assert f"/base/ollama{path}," in sentence
        assert sentence.endswith(f"{api.base_url}".rstrip("/") + "/ollama")
        assert "ollama" not in stranger.text


@pytest.mark.parametrize("path", OF_JUPYTER)
def test_jupyters_own_paths_stay(api, path) -> None:
    answer = api.get(path)

    assert answer.status_code == 200
    assert "OLLAMA_HOST" not in answer.text
