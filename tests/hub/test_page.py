"""The page of a Hub's service in a real browser: the Hub's login, and what a user and an admin see."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import real_hub
from playwright.sync_api import Browser, Page, sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        assert os.environ.get("CI") != "true", "chromium is missing"
        pytest.skip("chromium is not installed: apt-get install chromium fonts-dejavu-core")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def logged_in(hub, browser):
    """`logged_in(name)`: the service's page in a browser of somebody who has logged in."""

    def visit(name: str) -> Page:
        page = browser.new_context().new_page()
        page.goto(f"{hub.service}/")
        page.fill("#username_input", name)
        page.fill("#password_input", "any")
        page.click("#login_submit")
        page.wait_for_url(f"{hub.service}/")
        return page

    return visit


def test_a_user_is_sent_to_the_hubs_login_and_back(logged_in) -> None:
    page = logged_in("carol")

    page.get_by_text("carol", exact=True).wait_for()
    assert page.get_by_role("button", name="Pull").count() == 0
    assert page.get_by_text("nothing to do").count() == 1


@pytest.mark.parametrize("name", [real_hub.ADMIN, "tina"])
def test_who_manages_loads_and_unloads_models(hub, logged_in, name: str, tmp_path: Path) -> None:
    hub.call("POST", "/api/show", hub.token_of(name), json={"model": "demo"})
    page = logged_in(name)

    page.get_by_role("button", name="Load demo:latest").click()
    page.get_by_text("is loaded.").wait_for()
    page.screenshot(path=os.environ.get("SCREENSHOT", str(tmp_path / "hub-page.png")))
    page.get_by_role("button", name="Unload").first.click()
    page.get_by_text("goes as soon as").wait_for()
    page.get_by_text("the first request loads one").wait_for()  # the page looks by itself


def test_a_form_of_another_site_does_nothing(logged_in) -> None:
    page = logged_in(real_hub.ADMIN)
    page.locator("input[name=pass]").first.evaluate(
        "() => document.querySelectorAll('input[name=pass]').forEach(e => (e.value = 'x'))"
    )

    page.get_by_label("Download a model").fill("llama3.2")
    page.get_by_role("button", name="Pull").click()

    page.get_by_text("too old for that").wait_for()


def test_a_quota_of_the_page_holds_for_a_user_of_the_hub(hub, logged_in) -> None:
    token = hub.token_of("carol")
    ask = {"model": "demo", "prompt": "Hi", "stream": False, "options": {"num_predict": 3}}
    assert hub.call("POST", "/api/generate", token, json=ask).status_code == 200
    page = logged_in("tina")
    new = page.locator("form:has(button[value=add-quota])")

    new.get_by_label("New quota for users").fill("carol")
    new.get_by_label("tokens").fill("2")
    new.get_by_label("within").fill("1d")
    new.get_by_role("button", name="Add").click()

    page.get_by_text("New quota: 2 tokens in 1 d for users carol.").wait_for()
    refused = hub.call("POST", "/api/generate", token, json=ask)
    assert refused.status_code == 429
    assert "carol's quota of 2 tokens in 1 d is used up" in refused.json()["error"]
    page.get_by_text("used up: there is more at").first.wait_for()
    page.get_by_role("button", name="Remove the quota for users carol").click()
    page.get_by_text("is removed").wait_for()
    assert hub.call("POST", "/api/generate", token, json=ask).status_code == 200
    page.get_by_role("button", name="Back to the configuration").click()
    page.get_by_text("those of the configuration again").wait_for()


def test_a_hostile_name_is_text(hub, logged_in) -> None:
    name = "<img src=x onerror=alert(1)>"
    token = hub.token_of(quote(name, safe=""))
    ask = {"model": "demo", "prompt": "Hi", "stream": False, "options": {"num_predict": 3}}
    assert hub.call("POST", "/api/generate", token, json=ask).status_code == 200

    page = logged_in("tina")

    page.locator("#used").get_by_role("cell", name=name).wait_for()
    assert page.locator("img").count() == 0
