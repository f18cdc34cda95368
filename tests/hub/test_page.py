"""The page of a Hub's service in a real browser: the Hub's login, and what a user and an admin see."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

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

    page.get_by_role("button", name="Load", exact=True).first.click()
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

    page.fill("input[placeholder]", "llama3.2")
    page.get_by_role("button", name="Pull").click()

    page.get_by_text("too old for that").wait_for()
