"""A page that is closed, or loses its connection, while a cell runs: the cell goes on without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

MINUTE_MS = 60_000
ANSWER = "%generate -m demo -t 0 -o seed=7 -o num_predict=40 Tell me a story. -> story"
WAITS = ".jp-OutputArea-output em:has-text('demo:')"
# The page's connections to kernels, which can be cut, and not be made again until `isDown` ends.
SOCKETS = """
const Real = WebSocket;
window.sockets = []; window.isDown = false;
window.WebSocket = class extends Real {
  constructor(url, protocols) {
    super(window.isDown ? "ws://127.0.0.1:9/" : url, protocols);
    window.sockets.push(this);
  }
};
"""
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def story(lab_server: Any) -> str:
    """What the cell is answered; from here on the model is loaded."""
    options = {"temperature": 0, "seed": 7, "num_predict": 40}
    body = {"model": "demo", "prompt": "Tell me a story.", "options": options, "keep_alive": -1}
    with lab_server.client() as client:
        text: str = client.post("/api/generate", json=body | {"stream": False}).json()["response"]
    return " ".join(text.split())


@dataclass
class Kernel:
    """The only one of a notebook, as the Jupyter server sees it."""

    server: Any
    notebook: str

    @property
    def _facts(self) -> dict[str, Any]:
        with self.server.client() as client:
            url = self.server.url.removesuffix("ollama")
            sessions = client.get(f"{url}api/sessions").json()
        (found,) = (one["kernel"] for one in sessions if one["path"] == self.notebook)
        return dict(found)

    def is_left(self) -> bool:
        return self._facts["connections"] == 0

    def is_idle(self) -> bool:
        return self._facts["execution_state"] == "idle"


@pytest.fixture
def asked(lab: Any, folder: Path, of_cells: Callable[..., None], request: Any) -> Any:
    """A page whose cell waits for a worker that stands still until it is told to go on."""
    name = f"{request.node.name}.ipynb"
    of_cells(folder, name, "%load_ext ollama_nb", ANSWER)
    lab.page.add_init_script(SOCKETS)
    lab.open(name)
    (worker,) = lab.server.workers()
    worker.suspend()
    lab.run_all()
    lab.page.wait_for_selector(WAITS, timeout=MINUTE_MS)
    yield worker, Kernel(lab.server, name)
    worker.resume()


def test_a_cell_goes_on_when_its_page_is_closed(
    page: Page, story: str, asked: Any, lab: Any, eventually: Callable[..., object]
) -> None:
    worker, kernel = asked
    browser = page.context.browser
    page.close()
    eventually(kernel.is_left, "nobody looks")
    worker.resume()
    eventually(kernel.is_idle, "the cell has run to its end")

    lab.page = browser.new_page()
    lab.open(kernel.notebook)
    lab.page.locator(".jp-CodeCell .cm-content").last.click()
    lab.page.keyboard.press("ControlOrMeta+a")
    lab.page.keyboard.type("story")
    lab.page.keyboard.press("Shift+Enter")

    shown = lab.page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output")
    eventually(lambda: story in " ".join(shown.last.inner_text().split()), "the whole answer")


def test_what_came_while_the_connection_was_lost_is_shown(
    page: Page, story: str, asked: Any, eventually: Callable[..., object]
) -> None:
    worker, kernel = asked
    page.evaluate("window.isDown = true; window.sockets.forEach(socket => socket.close())")
    eventually(kernel.is_left, "the page has lost its kernel")
    worker.resume()
    eventually(kernel.is_idle, "the cell has run to its end")
    page.evaluate("window.isDown = false")

    shown = page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output")
    eventually(lambda: story in " ".join(shown.last.inner_text().split()), "the whole answer", 60)
    assert page.locator(WAITS).count() == 0
