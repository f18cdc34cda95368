"""JupyterLab in a real browser: the quickstart runs, and the chat box's Stop stops the engine."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, sync_playwright

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MINUTE_MS = 60_000
SETTINGS = {  # all cells are in the page, wherever it is scrolled to; no question about news
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false"},
}
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Notebooks to open: the quickstart, and one with the chat box."""
    folder = tmp_path_factory.mktemp("notebooks")
    quickstart = nbformat.read(NOTEBOOKS / "01-quickstart.ipynb", as_version=4)
    for cell in (cell for cell in quickstart.cells if cell.cell_type == "code"):
        cell.outputs, cell.execution_count = [], None
    nbformat.write(quickstart, folder / "quickstart.ipynb")
    source = "import ollama_nb\nbox = ollama_nb.Chat(model='demo', options={'temperature': 5.0, 'top_k': 0, 'top_p': 1.0})\nbox"
    cells = [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("box.transcript")]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "chat.ipynb")
    return folder


@pytest.fixture(scope="module")
def lab(start_jupyter, folder: Path, tmp_path_factory):
    settings = tmp_path_factory.mktemp("settings")
    for plugin, values in SETTINGS.items():
        file = settings / f"@jupyterlab/{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    return start_jupyter(
        "--LabApp.news_url=None", f"--LabApp.user_settings_dir={settings}", root=folder
    )


@pytest.fixture
def page() -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        assert os.environ.get("CI") != "true", "chromium is missing"
        pytest.skip("chromium is not installed: apt-get install chromium fonts-dejavu-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=QUIET)
        yield browser.new_page(viewport={"width": 1280, "height": 1000})
        browser.close()


def opened(page: Page, lab, notebook: str) -> Page:
    base = lab.url.removesuffix("ollama")
    workspace = f"lab/workspaces/{secrets.token_hex(4)}/tree/{notebook}"
    page.goto(f"{base}{workspace}?token={lab.token}", wait_until="domcontentloaded")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=MINUTE_MS)
    idle(page)
    return page


def idle(page: Page) -> None:
    selector = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
    page.wait_for_selector(selector, timeout=2 * MINUTE_MS)


def run_all(page: Page) -> None:
    """Choose it from the menu, again if Lab has lost it: right after opening it sometimes does."""
    first = page.locator(".jp-CodeCell .jp-InputPrompt").first
    for _ in range(4):
        page.click(".lm-MenuBar-itemLabel >> text=Run")
        page.click('.lm-Menu-itemLabel >> text="Run All Cells"')
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if re.search(r"\d|\*", first.inner_text()):
                return
            page.wait_for_timeout(200)
    raise AssertionError("no cell runs")


def has_run_to_its_end(page: Page) -> bool:
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").last.inner_text()
    return re.fullmatch(r"\[\d+\]:?", prompt.strip()) is not None


def test_the_quickstart_runs_in_a_browser(page, lab, eventually, tmp_path: Path) -> None:
    opened(page, lab, "quickstart.ipynb")
    run_all(page)

    eventually(lambda: has_run_to_its_end(page), "the last cell has run", 90)
    idle(page)
    errors = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']")
    assert errors.count() == 0
    page.screenshot(path=os.environ.get("SCREENSHOT", str(tmp_path / "quickstart.png")))


def test_stop_in_the_chat_box_stops_the_engine(page: Page, lab, eventually) -> None:
    opened(page, lab, "chat.ipynb")
    run_all(page)
    box = page.wait_for_selector(".jp-OutputArea input[type=text]", timeout=MINUTE_MS)
    box.fill("Tell me a story.")
    box.press("Enter")
    page.wait_for_selector("button:has-text('Stop'):not([disabled])", timeout=MINUTE_MS)
    with lab.client() as client:
        eventually(lambda: client.get("/api/ps").json()["models"], "the model is loaded")
    (worker,) = lab.workers()
    worker.suspend()  # in the middle of its answer
    page.click("button:has-text('Stop')", timeout=MINUTE_MS)
    page.wait_for_selector("button:has-text('Send'):not([disabled])", timeout=MINUTE_MS)
    worker.resume()

    eventually(lambda: worker.cpu_percent(0.3) < 20, "the engine stops", 10)
