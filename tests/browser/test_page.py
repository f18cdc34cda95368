"""The page of a shared server in a real browser: signing in, pressing buttons, light and dark."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ollama_nb_server.accounts import table
from ollama_nb_server.sharing.folder import folder
from ollama_nb_server.sharing.tokens import TokenFile
from playwright.sync_api import Page

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
    page.get_by_role("button", name="Load demo:latest").click()

    page.get_by_text("demo:latest is loaded.").wait_for()
    shown = page.locator("#loaded, #models-there").get_by_role(
        "cell", name="demo:latest", exact=True
    )
    assert shown.count() == 2  # loaded, and among the models
    looked_again(page)
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


CONFIG = """[hub]
contact = "Ms Ada"
quotas = [{tokens = 200_000, window = "1d"}]
"""
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


@pytest.fixture
def shared(start_server, tmp_path: Path) -> tuple[Any, dict[str, str]]:
    """A server with accounts of some days, also of a user and a model with hostile names."""
    file, models = TokenFile(tmp_path / "tokens.json"), tmp_path / "models"
    tokens = {name: file.add(name, is_admin=name == "eve") for name in ("ana", "eve")}
    (tmp_path / "hub.toml").write_text(CONFIG)
    connection = table.opened(folder(models) / table.FILE)
    connection.execute("INSERT INTO servers (key, pid, started_at) VALUES ('old', 1, 0)")
    for number, (who, model) in enumerate((("ana", "demo:latest"), (HOSTILE, HOSTILE))):
        asked_at = time.time() - 86_400 * number
        connection.execute(
            "INSERT INTO requests (server, number, user, verb, model, digest, asked_at, status, "
            "ended_at, prompt_count, eval_count, prompt_ns, eval_ns) "
            "VALUES (1, ?, ?, 'chat', ?, 'd', ?, 'finished', ?, 500, 100, 1000000000, 1000000000)",
            (number, who, model, asked_at, asked_at),
        )
    connection.close()
    arguments = ("--tokens", str(file.path), "--config", str(tmp_path / "hub.toml"))
    return start_server(*arguments, OLLAMA_MODELS=str(models)), tokens


def sign_in(page: Page, server: Any, token: str) -> list[str]:
    """Open the page as whoever has this token; what the browser complains of from then on."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/")
    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.locator("main").wait_for()
    return complaints


def looked_again(page: Page) -> None:
    """Wait until the page has looked for what is new."""
    with page.expect_response(lambda response: "part=live" in response.url):
        pass


def test_an_administrator_changes_a_quota(page: Page, shared, tmp_path: Path) -> None:
    server, tokens = shared
    complaints = sign_in(page, server, tokens["eve"])
    field = page.get_by_label("tokens, quota for everybody")
    assert field.input_value() == "200,000"

    field.fill("a few")
    looked_again(page)
    assert field.input_value() == "a few"  # what is typed stays, whatever is new
    page.get_by_role("button", name="Save the quota for everybody").click()
    page.get_by_text("'a few' is no whole number").wait_for()
    assert field.input_value() == "a few"
    field.fill("300 000")
    page.get_by_role("button", name="Save the quota for everybody").click()

    page.get_by_text("is changed: 300,000 tokens in 1 d for everybody.").wait_for()
    assert page.get_by_label("tokens, quota for everybody").input_value() == "300,000"
    page.get_by_text("600 of 300,000 tokens in 1 d").wait_for()
    page.get_by_role("button", name="Back to the configuration").click()
    page.get_by_text("The quotas are those of the configuration again.").wait_for()
    assert page.get_by_label("tokens, quota for everybody").input_value() == "200,000"
    looked_again(page)
    assert [text for text in complaints if "400" not in text] == []


def test_plots_are_told_and_drawn_in_light_and_dark(page: Page, shared, tmp_path: Path) -> None:
    server, tokens = shared
    complaints = sign_in(page, server, tokens["eve"])
    plot = page.get_by_role("img", name="tokens by day")
    assert plot.count() == 1
    assert page.get_by_role("img", name="seconds of computing by day").count() == 1

    colours = set()
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        bar = plot.locator("rect").first
        colours.add(bar.evaluate("bar => getComputedStyle(bar).fill"))
        picture = f"{os.environ.get('SCREENSHOT', str(tmp_path / 'plots'))}-{scheme}.png"
        page.screenshot(path=picture, full_page=True)
    page.get_by_text("The numbers").click()
    page.get_by_role("link", name="by user").click()
    page.get_by_text("The numbers").click()

    assert len(colours) == 2
    assert page.get_by_role("cell", name=HOSTILE).count() == 1
    assert page.locator("img").count() == 0
    assert page.title() == "ollama_nb"
    looked_again(page)
    assert complaints == []


def test_a_model_is_pinned_and_unpinned(page: Page, shared) -> None:
    server, tokens = shared
    headers = {"Authorization": f"Bearer {tokens['eve']}"}
    with server.client() as client:
        client.post("/api/show", json={"model": "demo"}, headers=headers)
    complaints = sign_in(page, server, tokens["eve"])

    page.get_by_role("button", name="Pin demo:latest").click()
    page.get_by_text("New pin: demo:latest for good.").wait_for()
    page.locator("#loaded .tag", has_text="pinned").wait_for()  # the page looks by itself
    page.get_by_role("button", name="Unpin demo:latest").click()

    page.get_by_text("demo:latest is pinned no more").wait_for()
    page.get_by_text("No model is pinned").wait_for()
    assert page.locator("#loaded .tag").count() == 0
    assert complaints == []


def test_what_is_not_new_is_left_alone(page: Page, shared, eventually) -> None:
    server, tokens = shared
    sign_in(page, server, tokens["eve"])
    mark = "document.querySelectorAll('[data-live]').forEach(each => (each.isOld = true))"
    page.evaluate(mark)
    page.evaluate("document.getElementById('loaded').append('something else')")

    looked_again(page)
    eventually(lambda: not page.evaluate("document.getElementById('loaded').isOld"), "it is new")

    assert page.evaluate("document.getElementById('used').isOld")
    assert page.evaluate("document.getElementById('standings').isOld")


def test_what_is_marked_stays_marked(page: Page, shared, eventually) -> None:
    server, tokens = shared
    sign_in(page, server, tokens["eve"])
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#loaded h2'))")
    page.evaluate("document.getElementById('loaded').append('something else')")

    looked_again(page)
    looked_again(page)

    assert page.evaluate("getSelection().toString()") == "Loaded models"
    assert "something else" in page.locator("#loaded").inner_text()
    page.evaluate("getSelection().empty()")
    eventually(lambda: "else" not in page.locator("#loaded").inner_text(), "it is new")


def test_a_button_keeps_the_focus_while_the_page_looks(page: Page, shared, eventually) -> None:
    server, tokens = shared
    headers = {"Authorization": f"Bearer {tokens['eve']}"}
    with server.client() as client:
        client.post("/api/show", json={"model": "demo"}, headers=headers)
    sign_in(page, server, tokens["eve"])
    page.get_by_role("button", name="Load demo:latest").focus()
    page.evaluate("document.getElementById('models-there').append('something else')")

    eventually(lambda: "else" not in page.locator("#models-there").inner_text(), "it is new")

    name = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(name) == "Load demo:latest"


def test_who_looks_at_a_server_that_goes_is_told(page: Page, shared) -> None:
    server, tokens = shared
    sign_in(page, server, tokens["ana"])
    assert not page.locator("#away").is_visible()

    server.process.terminate()

    page.get_by_text("The server does not answer").wait_for()
    page.get_by_role("heading", name="How to connect").wait_for()  # the rest stays


def test_who_is_not_signed_in_any_more_is_asked_again(page: Page, shared, tmp_path: Path) -> None:
    server, tokens = shared
    sign_in(page, server, tokens["ana"])

    TokenFile(tmp_path / "tokens.json").remove("ana")

    page.get_by_label("Your token").wait_for()
