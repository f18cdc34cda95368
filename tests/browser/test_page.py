"""The page of a shared server in a real browser: signing in, pressing buttons, light and dark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ollama_nb_server.sharing.tokens import TokenFile

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_an_administrator_signs_in_and_loads_a_model(
    page, start_server, tmp_path: Path, eventually
) -> None:
    file = TokenFile(tmp_path / "tokens.json")
    token = file.add("eve", is_admin=True)
    server = start_server("--tokens", str(file.path), "--base-url", "/services/ollama")
    unload = {"model": "demo", "keep_alive": 0}
    headers = {"Authorization": f"Bearer {token}"}
    with server.client() as client:
        client.post(
            "/api/show", json=unload, headers=headers
        )  # the bundled model comes when asked for
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))

    page.goto(f"{server.url}/")
    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Load").click()

    page.get_by_text("demo:latest is loaded.").wait_for()
    assert page.get_by_role("cell", name="demo:latest").count() == 2  # loaded, and among the models
    assert refused == []  # by the page's own policy
    colours = set()
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        colours.add(page.locator(".told").evaluate("e => getComputedStyle(e).backgroundColor"))
        picture = f"{os.environ.get('SCREENSHOT', str(tmp_path / 'page'))}-{scheme}.png"
        page.screenshot(path=picture)
    assert len(colours) == 2
    with server.client() as client:
        client.post("/api/generate", json=unload, headers=headers)
    page.get_by_text("the first request loads one").wait_for()  # the page looks by itself
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Your token").wait_for()
