"""JupyterLab in a real browser: the quickstart runs, and the chat box's Stop stops the engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

MINUTE_MS = 60_000
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_quickstart_runs_in_a_browser(page: Page, lab, eventually, tmp_path: Path) -> None:
    lab.open("01-quickstart.ipynb")
    lab.run_all()

    eventually(lab.has_run_to_its_end, "the last cell has run", 90)
    lab.idle()
    assert lab.num_errors() == 0
    page.screenshot(path=os.environ.get("SCREENSHOT", str(tmp_path / "quickstart.png")))


def test_answers_that_fit_a_schema_are_shown_as_code(
    page: Page, lab, eventually, tmp_path: Path
) -> None:
    lab.open("03-structured.ipynb")
    lab.run_all()

    eventually(lab.has_run_to_its_end, "the last cell has run", 120)
    lab.idle()
    assert lab.num_errors() == 0
    shown = page.locator(".jp-RenderedMarkdown pre:has-text('verdict')")
    assert shown.count() > 0
    shown.first.scroll_into_view_if_needed()
    page.screenshot(path=os.environ.get("SCREENSHOT", str(tmp_path / "structured.png")))


def test_stop_in_the_chat_box_stops_the_engine(page: Page, lab, eventually) -> None:
    lab.open("chat.ipynb")
    lab.run_all()
    box = page.wait_for_selector(".jp-OutputArea input[type=text]", timeout=MINUTE_MS)
    box.fill("Tell me a story.")
    box.press("Enter")
    page.wait_for_selector("button:has-text('Stop'):not([disabled])", timeout=MINUTE_MS)
    page.wait_for_selector(".jp-OutputArea blockquote", timeout=MINUTE_MS)
    # Not until /api/ps names the model: that also names one that loads, whose worker Stop ends.
    waits = page.locator(".jp-OutputArea em:has-text('demo:')")
    eventually(lambda: waits.count() == 0, "the first word of the answer", 60)
    (worker,) = lab.server.workers()
    worker.suspend()  # in the middle of its answer
    page.click("button:has-text('Stop')", timeout=MINUTE_MS)
    page.wait_for_selector("button:has-text('Send'):not([disabled])", timeout=MINUTE_MS)
    worker.resume()

    eventually(lambda: worker.cpu_percent(0.3) < 20, "the engine stops", 10)
