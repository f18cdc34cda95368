"""The page of a Hub's service in a browser: the Hub's own login, and nobody else's."""

from __future__ import annotations

import re

import httpx
import pytest

pytestmark = pytest.mark.slow

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def browser(hub):
    with httpx.Client(headers=HTML, timeout=60, trust_env=False, follow_redirects=True) as client:
        yield client


def log_in(hub, browser: httpx.Client, name: str, query: str = "") -> httpx.Response:
    """Open the page as a person would, and fill in the Hub's form."""
    form = browser.get(f"{hub.service}/{query}")
    assert "/hub/login" in str(form.url)
    secret = re.search(r'name="_xsrf" value="([^"]+)"', form.text).group(1)
    data = {"username": name, "password": "x", "_xsrf": secret}
    return browser.post(form.url, data=data)


def test_the_page_is_behind_the_hub_s_login(hub, browser) -> None:
    page = log_in(hub, browser, "carol")

    assert str(page.url) == f"{hub.service}/"
    assert "<span>carol" in page.text
    assert "Ms Ada" in page.text
    assert "Sign out" not in page.text


def test_no_stranger_s_address_is_kept_while_they_log_in(hub, browser) -> None:
    page = log_in(hub, browser, "carol", f"?{'x' * 1000}")

    assert str(page.url) == f"{hub.service}/"
    assert "<span>carol" in page.text


def test_an_administrator_of_the_hub_is_one_here(hub, browser) -> None:
    page = log_in(hub, browser, "boss")

    assert "<span>boss, administrator" in page.text


def test_a_form_from_elsewhere_does_nothing(hub, browser) -> None:
    log_in(hub, browser, "boss")

    data = {"action": "pull", "value": "demo"}
    forged = browser.post(f"{hub.service}/", data=data, follow_redirects=False)

    assert forged.status_code in (302, 403)  # the Hub's half sends it to the login


def test_the_page_s_cookie_opens_no_route(hub, browser) -> None:
    log_in(hub, browser, "carol")

    answer = browser.get(f"{hub.service}/api/tags", headers={"Accept": "*/*"})

    assert answer.status_code == 401


def test_a_token_of_the_api_does_not_log_in(hub, browser) -> None:
    token = hub.token_of("carol", "access:services!service=ollama")

    answer = browser.post(f"{hub.service}/", data={"action": "enter", "token": token})

    assert answer.status_code == 403
    assert "carol" not in answer.text
