"""The page of a shared server: who is let in, what each may see and do, and what no page can fake."""

from __future__ import annotations

import re
import threading

import httpx
import pytest
from ollama_nb_server.pages.actions import OF_ADMINISTRATORS
from ollama_nb_server.sharing.tokens import TokenFile

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def shared(start_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    file, config = TokenFile(folder / "tokens.json"), folder / "hub.toml"
    config.write_text('[hub]\ncontact = "Ms <Ada>"\n')
    tokens = {name: file.add(name, is_admin=name == "eve") for name in ("ana", "ben", "eve")}
    arguments = ("--tokens", str(file.path), "--config", str(config), "--base-url", "/ai")
    return start_server(*arguments), file, tokens


@pytest.fixture
def browser(shared):
    """`browser(name)`: a signed-in browser; without a name a stranger's."""
    server, _, tokens = shared
    opened: list[httpx.Client] = []

    def signed_in(name: str | None = None) -> httpx.Client:
        client = httpx.Client(
            base_url=server.url, headers=HTML, timeout=60, trust_env=False, follow_redirects=True
        )
        opened.append(client)
        if name is not None:
            page = client.post("/", data={"action": "enter", "token": tokens[name]})
            assert f"<span>{name}" in page.text
        return client

    yield signed_in
    for client in opened:
        client.close()


def press(client: httpx.Client, action: str, value: str = "") -> httpx.Response:
    """Press a button of the page as it is now."""
    passes = re.findall('name="pass" value="([0-9a-f]+)"', client.get("/").text)
    return client.post("/", data={"action": action, "value": value, "pass": passes[0]})


def test_programs_get_ollamas_own_answer(shared) -> None:
    server, _, _ = shared
    with server.client() as client:
        assert client.get("/").status_code == 401
        token = {"Authorization": f"Bearer {shared[2]['ana']}"}
        assert client.get("/", headers=token).text == "Ollama is running"


def test_a_stranger_is_asked_for_a_token_and_told_nothing(browser) -> None:
    page = browser().get("/")

    assert page.status_code == 200
    assert 'name="token"' in page.text
    assert "demo" not in page.text
    assert "Ms" not in page.text


@pytest.mark.parametrize(
    ("told", "scheme"), [("https", "https"), ("https, http", "https"), ("x", "http")]
)
def test_the_address_to_connect_to_is_the_one_before_the_proxy(browser, told, scheme) -> None:
    page = browser("ana").get("/", headers={"X-Forwarded-Proto": told})

    assert f"OLLAMA_HOST={scheme}://127.0.0.1:" in page.text


def test_behind_a_proxy_with_tls_the_sign_in_is_never_sent_without(browser, shared) -> None:
    body = {"action": "enter", "token": shared[2]["ana"]}
    headers = {"X-Forwarded-Proto": "https"}
    answer = browser().post("/", data=body, headers=headers, follow_redirects=False)

    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_stranger_s_form_is_small(browser) -> None:
    with pytest.raises(httpx.HTTPError) as refused:  # nobody reads it, and the connection ends
        browser().post("/", data={"action": "enter", "token": "x" * (4 << 20)}).raise_for_status()
    assert "403" not in str(refused.value)
    assert browser().post("/", data={"action": "enter", "token": "x" * 1000}).status_code == 403


@pytest.mark.parametrize("token", ["", "wrong", "onb_" + "x" * 43])
def test_a_wrong_token_opens_nothing(browser, token: str) -> None:
    client = browser()
    page = client.post("/", data={"action": "enter", "token": token})

    assert page.status_code == 403
    assert "opens nothing" in page.text
    assert 'name="token"' in client.get("/").text


def test_a_token_that_is_removed_closes_the_page(shared, browser, eventually) -> None:
    _, file, tokens = shared
    tokens["gone"] = file.add("gone", is_admin=False)
    client = browser()
    entered = {"action": "enter", "token": tokens["gone"]}
    eventually(lambda: client.post("/", data=entered).status_code == 200, "it is known", 3)

    file.remove("gone")

    eventually(lambda: 'name="token"' in client.get("/").text, "the page is closed", 3)


def test_who_signs_out_is_a_stranger(browser) -> None:
    client = browser("ana")

    assert 'name="token"' in press(client, "leave").text
    assert 'name="token"' in client.get("/").text


def test_a_cookie_of_ones_own_making_opens_nothing(browser, shared) -> None:
    client = browser()
    client.cookies.set("ollama_nb_page", shared[2]["eve"], path="/ai/")

    assert 'name="token"' in client.get("/").text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser, shared) -> None:
    entered = {"action": "enter", "token": shared[2]["ana"]}
    page = browser().post("/", data=entered, follow_redirects=False)

    cookie = page.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/ai/"} <= set(cookie.split("; "))
    assert shared[2]["ana"] not in cookie


def test_the_head_lets_nothing_else_in(browser) -> None:
    page = browser("ana").get("/")

    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert "Ms &lt;Ada&gt;" in page.text
    assert "<script>" not in page.text


@pytest.mark.parametrize("given", ["", "0" * 64])
@pytest.mark.parametrize("action", ["end", *sorted(OF_ADMINISTRATORS)])
def test_a_form_of_another_page_does_nothing(browser, action: str, given: str) -> None:
    client = browser("eve")
    page = client.post("/", data={"action": action, "value": "demo", "pass": given})

    assert page.status_code == 403
    assert "try again" in page.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_other_page_signs_anybody_in(browser, shared, site: str) -> None:
    client = browser()
    form = {"action": "enter", "token": shared[2]["ana"]}

    answer = client.post("/", data=form, headers={"Sec-Fetch-Site": site})

    assert answer.status_code == 403
    assert not client.cookies


def test_the_pass_of_another_does_nothing(browser) -> None:
    (own, *_) = re.findall('name="pass" value="([0-9a-f]+)"', browser("ana").get("/").text)

    page = browser("eve").post("/", data={"action": "load", "value": "demo", "pass": own})

    assert page.status_code == 403


@pytest.mark.parametrize("action", sorted(OF_ADMINISTRATORS))
def test_a_user_may_not_press_what_is_not_there(browser, action: str) -> None:
    client = browser("ana")
    page = client.get("/").text
    assert f'value="{action}"' not in page
    own = re.search('name="pass" value="([0-9a-f]+)"', page)[1]

    page = client.post("/", data={"action": action, "value": "demo", "pass": own})

    assert page.status_code == 403
    assert "ask Ms &lt;Ada&gt;" in page.text


def test_an_administrator_loads_and_unloads(browser, eventually) -> None:
    client = browser("eve")

    assert "demo is loaded." in press(client, "load", "demo").text
    assert "demo goes" in press(client, "unload", "demo").text
    eventually(lambda: "the first request loads one" in client.get("/").text, "it goes")


def test_what_cannot_be_done_is_told(browser) -> None:
    page = press(browser("eve"), "load", "<nope>")

    assert page.status_code in (400, 404)
    assert "&lt;nope&gt;" in page.text or "invalid model name" in page.text


def test_a_download_that_fails_is_told(browser, eventually) -> None:
    client = browser("eve")
    press(client, "pull", "127.0.0.1:9/library/x")

    eventually(lambda: "failed:" in client.get("/").text, "the download has failed", 30)


def _asks(server, token: str, told: list) -> None:
    asked = {"model": "demo", "prompt": "Tell"}
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{server.url}/api/generate"
    with httpx.stream("POST", url, json=asked, headers=headers, timeout=60) as answer:
        told += answer.iter_lines()


def test_a_request_is_seen_and_ended_by_whom_it_concerns(
    start_server, held_load, tmp_path, eventually
) -> None:
    gate, environ = held_load
    file = TokenFile(tmp_path / "tokens.json")
    tokens = {name: file.add(name, is_admin=name == "eve") for name in ("ana", "ben", "eve")}
    server = start_server("--tokens", str(file.path), **environ)
    told: list[str] = []
    asking = threading.Thread(target=_asks, args=(server, tokens["ana"], told))
    pages = {}
    for name, token in tokens.items():
        pages[name] = httpx.Client(
            base_url=server.url, headers=HTML, timeout=60, trust_env=False, follow_redirects=True
        )
        pages[name].post("/", data={"action": "enter", "token": token})
    asking.start()
    button = 'name="action" value="end"'
    eventually(lambda: button in pages["ana"].get("/").text, "her request is shown")

    assert "<td>ana</td>" in pages["eve"].get("/").text
    assert button not in pages["ben"].get("/").text
    number = re.search(
        'name="value" value="(\\d+)">\\s*<button name="action" value="end"',
        pages["ana"].get("/").text,
    )[1]
    (own, *_) = re.findall('name="pass" value="([0-9a-f]+)"', pages["ben"].get("/").text) or [""]
    refused = pages["ben"].post("/", data={"action": "end", "value": number, "pass": own})
    assert "over already" in refused.text or refused.status_code == 403
    assert button in pages["ana"].get("/").text

    assert "was ended" in press(pages["eve"], "end", number).text

    asking.join(20)
    assert any("ended on the server" in line for line in told), told
    assert button not in pages["ana"].get("/").text
    gate.touch()
    for page in pages.values():
        page.close()


def test_what_was_used_today_is_each_ones_own_and_everybodys_to_administrators(
    shared, browser, eventually
) -> None:
    server, _, tokens = shared
    asked = {"model": "demo", "prompt": "One", "stream": False, "options": {"num_predict": 3}}
    for name in ("ana", "ben"):
        headers = {"Authorization": f"Bearer {tokens[name]}"}
        assert httpx.post(f"{server.url}/api/generate", json=asked, headers=headers).is_success

    ana, eve = browser("ana"), browser("eve")

    eventually(lambda: "Used today" in ana.get("/").text, "the accounts are written", 10)
    assert "<td>ben</td>" not in ana.get("/").text
    eventually(lambda: {"<td>ana</td>", "<td>ben</td>"} <= _cells(eve), "all are shown", 10)


def _cells(client: httpx.Client) -> set[str]:
    return set(re.findall("<td>[a-z]+</td>", client.get("/").text))
