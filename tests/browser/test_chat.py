"""A chat in a real browser, in JupyterLab and Notebook 7: reloads, keys, hostile texts, no kernel.

The model is one that says what it is asked, a word at a time, so that a test knows what comes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page

from ollama_nb.widgets.transcript import GONE

MINUTE_MS = 60_000
CELL = """import ollama_nb
ollama_nb.connect({url!r})
talk = ollama_nb.Chat("other")
talk"""
HOSTILE = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">
<svg/onload="window.hacked=3"> [link](javascript:window.hacked=4) <iframe srcdoc="<p>"></iframe>
<style>body { display: none }</style> </div></div><details open ontoggle="window.hacked=5">"""
STANDS = """box => new Promise((resolve) => {
  const place = box.scrollTop;
  requestAnimationFrame(() => requestAnimationFrame(() => resolve(place === box.scrollTop)));
})"""
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def notebook(folder: Path, other, of_cells, request: pytest.FixtureRequest) -> Path:
    """A notebook of one cell, which shows a chat."""
    other.left_early.clear()
    name = re.sub(r"\W+", "-", request.node.name) + ".ipynb"
    of_cells(folder, name, CELL.format(url=other.url))
    return folder / name


class Chat:
    """The chat on a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".ollama-nb-chat")
        self.box = self.root.locator("textarea")
        self.turns = self.root.locator(".ollama-nb-turns")

    def turn(self, number: int) -> Locator:
        return self.turns.locator(".ollama-nb-turn").nth(number - 1)

    def ask(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Enter")

    def wait_until_over(self, number: int) -> None:
        place = f".ollama-nb-turn:nth-child({number})[aria-busy=false]"
        self.turns.locator(place).wait_for(timeout=MINUTE_MS)

    def wait_for(self, number: int, text: str) -> None:
        self.turn(number).locator(f".ollama-nb-answer:has-text('{text}')").wait_for()

    def press(self, name: str) -> None:
        self.root.locator(f"button:text-is('{name}')").click()

    def distance_to_the_end(self) -> float:
        return self.turns.evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight")


@pytest.fixture
def open_chat(notebook: Path) -> Callable[..., Chat]:
    """Open the notebook in a front end and run its cell."""

    def opened(front_end) -> Chat:
        front_end.open(notebook.name)
        front_end.run_all()
        chat = Chat(front_end.page)
        chat.root.wait_for(timeout=MINUTE_MS)
        return chat

    return opened


def _saved(notebook: Path) -> list[str]:
    """The plain texts of the turns that the file holds."""
    with suppress(ValueError):  # it is being written
        return _turns(json.loads(notebook.read_text("utf-8")))
    return []


def _turns(notebook: dict[str, Any]) -> list[str]:
    cell = notebook["cells"][0]
    marked = [one for one in cell["outputs"] if "ollama_nb" in one["metadata"]]
    texts = ["".join(one["data"].get("text/plain", "")) for one in marked]
    return [text for text in texts if text.startswith("You: ")]


def _screenshot(page: Page, tmp_path: Path, name: str) -> None:
    """Keep a picture where SCREENSHOTS says, for people to look at."""
    page.screenshot(path=Path(os.environ.get("SCREENSHOTS", tmp_path)) / name)


def test_a_page_that_is_loaded_again_goes_on(
    front_end, open_chat, notebook, other, eventually
) -> None:
    chat = open_chat(front_end)
    chat.ask("one")
    chat.wait_until_over(1)
    chat.ask("slowly " + "word " * 600)
    chat.wait_for(2, "slowly word")
    chat.box.press("ControlOrMeta+s")
    eventually(lambda: _saved(notebook) == ["You: one\nother: one "], "Ctrl+S reaches the notebook")

    front_end.page.reload(wait_until="domcontentloaded")

    chat.wait_for(1, "one")
    chat.wait_for(2, "slowly word")
    before = chat.turn(2).inner_text()
    eventually(lambda: len(chat.turn(2).inner_text()) > len(before), "the answer goes on")
    chat.press("Stop")
    chat.wait_for(2, "(stopped)")
    assert other.left_early.wait(10)
    chat.ask("three")
    chat.wait_until_over(3)
    chat.box.press("ControlOrMeta+s")
    eventually(lambda: len(_saved(notebook)) == 3, "what came after the reload is saved too")
    assert _saved(notebook)[-1] == "You: three\nother: three "


def test_without_its_kernel_the_talk_is_shown_once_and_says_so(
    lab, open_chat, notebook, tmp_path, eventually
) -> None:
    chat = open_chat(lab)
    page = lab.page
    chat.ask("Who is there?")
    chat.wait_until_over(1)
    gone = page.get_by_text(GONE)
    said = page.get_by_text("Who is there?", exact=True)
    assert _num_visible(gone) == 0
    assert _num_visible(said) == 2  # the question, and the answer that repeats it
    chat.box.press("ControlOrMeta+s")
    eventually(lambda: _saved(notebook), "the notebook is saved")

    lab.kernel(notebook.name).kill()

    eventually(lambda: _num_visible(gone) == 1, "the page says that the kernel is gone", 60)
    assert not chat.box.is_visible()
    assert _num_visible(said) == 2
    _screenshot(page, tmp_path, "dead.png")
    lab.open(notebook.name)
    eventually(lambda: _num_visible(said) == 2, "the copy in the notebook", 60)
    error = page.get_by_text("Error displaying widget")
    error.wait_for(state="attached", timeout=MINUTE_MS)
    assert _num_visible(error) == 0
    assert _num_visible(gone) == 1
    assert _num_visible(said) == 2
    _screenshot(page, tmp_path, "reopened.png")


def _num_visible(found: Locator) -> int:
    return sum(one.is_visible() for one in found.all())


def test_keys_and_texts_stay_what_they_are(lab, open_chat, tmp_path, eventually) -> None:
    chat = open_chat(lab)
    page = lab.page
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").first.inner_text()
    assert chat.root.locator(".ollama-nb-model").inner_text() == "other"

    chat.box.click()
    page.keyboard.type("first")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second\\")
    page.keyboard.press("Enter")

    chat.wait_until_over(1)
    assert chat.turn(1).locator("pre").first.inner_text() == "first\nsecond\\"
    assert chat.box.input_value() == ""
    assert page.locator(".jp-CodeCell .jp-InputPrompt").first.inner_text() == prompt
    chat.ask(HOSTILE)
    chat.wait_until_over(2)
    _screenshot(page, tmp_path, "hostile.png")
    assert chat.turn(2).locator("pre").first.inner_text() == HOSTILE
    assert "onerror" in chat.turn(2).locator(".ollama-nb-answer").inner_text()
    outputs = page.locator(".jp-OutputArea")  # the copy too, which is there though not seen
    assert outputs.locator("script, img, svg[onload], iframe, a, [ontoggle]").count() == 0
    assert page.evaluate("window.hacked") is None


def test_it_follows_the_end_unless_the_reader_has_scrolled_up(
    lab, open_chat, tmp_path, eventually
) -> None:
    chat = open_chat(lab)
    for number in range(1, 4):
        chat.ask("word " * 600)
        chat.wait_until_over(number)
    chat.ask("slowly " + "word " * 900)
    chat.wait_for(4, "slowly word")

    assert chat.distance_to_the_end() < 5
    assert chat.turns.bounding_box()["height"] < 500
    assert chat.root.locator("button:text-is('Stop')").is_visible()
    _screenshot(lab.page, tmp_path, "long.png")
    chat.turns.hover()
    lab.page.mouse.wheel(0, -300)
    eventually(lambda: chat.distance_to_the_end() > 200, "the reader has scrolled up")
    eventually(lambda: chat.turns.evaluate(STANDS), "the wheel has come to a stop")
    place = chat.turns.evaluate("box => box.scrollTop")
    before = chat.turn(4).inner_text()
    eventually(lambda: len(chat.turn(4).inner_text()) > len(before) + 20, "the answer goes on")
    assert chat.turns.evaluate("box => box.scrollTop") == place
    assert chat.distance_to_the_end() > 200
    chat.press("Stop")
    chat.wait_until_over(4)
    chat.ask("last")
    chat.wait_until_over(5)
    assert chat.distance_to_the_end() < 5


def test_an_answer_goes_on_while_no_page_is_open(
    lab, open_chat, notebook, other, eventually
) -> None:
    chat = open_chat(lab)
    chat.box.press("ControlOrMeta+s")
    eventually(lambda: GONE in notebook.read_text(), "the notebook is saved")
    chat.ask("never saved")
    chat.wait_until_over(1)
    chat.ask("slowly one two three four five six seven eight nine ten")
    chat.wait_for(2, "slowly one")

    browser = lab.page.context.browser
    lab.page.close()
    lab.page = browser.new_page()
    lab.open(notebook.name)

    chat = Chat(lab.page)
    chat.wait_until_over(2)
    assert chat.turn(2).locator(".ollama-nb-answer").inner_text().endswith("nine ten")
    assert not other.left_early.is_set()
    outputs = lab.page.locator(".ollama-nb-saved pre")
    eventually(lambda: outputs.count() == 2, "the page adds what its notebook lacks")
    chat.box.press("ControlOrMeta+s")
    eventually(lambda: len(_saved(notebook)) == 2, "what came meanwhile is saved")


CONTRAST = """node => {
  const channel = (part) => (part /= 255) <= 0.04 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = (color) => {
    const [r, g, b] = color.match(/[0-9.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  let behind = node;
  while (/, 0\\)$|transparent/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const both = [getComputedStyle(node).color, getComputedStyle(behind).backgroundColor].map(light);
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}"""
ANSWER = "An *answer* with `code`, [a link](https://example.org) and more:\n\n```python\nx = 1\n```"


def test_it_can_be_read_in_the_light_and_in_the_dark(lab, open_chat, tmp_path, other) -> None:
    chat = open_chat(lab)
    other.script = [[{"thinking": "Well, well."}, {"content": ANSWER}]]
    chat.ask("What do you say?\nIn two lines.")
    chat.wait_until_over(1)
    read = "pre.ollama-nb-question, .ollama-nb-answer p, p code, .ollama-nb-answer pre code, a, "
    read += "summary, textarea, .ollama-nb-model, button:not(:disabled)"

    for theme in ("Dark", "Light"):
        _choose_theme(lab.page, theme)
        _screenshot(lab.page, tmp_path, f"{theme.lower()}.png")
        nodes = chat.root.locator(read).all()
        contrasts = {node.evaluate("n => n.outerHTML"): node.evaluate(CONTRAST) for node in nodes}
        assert len(contrasts) == 10
        assert {node for node, contrast in contrasts.items() if contrast < 4.5} == set()


def _choose_theme(page: Page, theme: str) -> None:
    page.click(".lm-MenuBar-itemLabel >> text=Settings")
    page.click('.lm-Menu-itemLabel >> text="Theme"')
    page.click(f'.lm-Menu-itemLabel >> text="JupyterLab {theme}"')
    is_light = str(theme == "Light").lower()
    page.wait_for_selector(f"body[data-jp-theme-light={is_light}]", state="attached")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
