"""JupyterLab in a real browser: the quickstart runs, and the chat box's Stop stops the engine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, TimeoutError

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
    shown = page.locator(".jp-RenderedHTML pre:has-text('verdict')")
    assert shown.count() > 0
    shown.first.scroll_into_view_if_needed()
    page.screenshot(path=os.environ.get("SCREENSHOT", str(tmp_path / "structured.png")))


def test_stop_in_the_chat_box_stops_the_engine(page: Page, lab, eventually) -> None:
    lab.open("chat.ipynb")
    lab.run_all()
    page.wait_for_selector(".ollama-nb-chat textarea", timeout=MINUTE_MS)
    stopped = page.locator(".ollama-nb-turn:last-child em:text-is('(stopped)')")

    tries = (_stopped_in_the_middle(page, lab, eventually, stopped) for _ in range(8))
    worker = next(filter(None, tries), None)

    assert worker, "eight answers ended before they could be stopped"
    eventually(lambda: worker.cpu_percent(0.3) < 20, "the engine stops", 10)


def _stopped_in_the_middle(page: Page, lab, eventually, stopped):
    """Ask, and press Stop while the worker stands still; the worker, if the answer was cut by it.

    Words drawn at random end an answer at any time: then the next one has to do.
    """
    page.fill(".ollama-nb-chat textarea", "Tell me a story.")
    page.press(".ollama-nb-chat textarea", "Enter")
    page.wait_for_selector("button:has-text('Stop'):not([disabled])", timeout=MINUTE_MS)
    # Not until /api/ps names the model: that also names one that loads, whose worker Stop ends.
    answer = page.locator(".ollama-nb-turn:last-child .ollama-nb-answer")
    waits = answer.locator("em:has-text('demo:')")
    eventually(lambda: answer.inner_text() and not waits.count(), "the first word", 60)
    (worker,) = lab.server.workers()
    worker.suspend()
    with suppress(TimeoutError):  # the button cannot be pressed when the answer is over
        page.click("button:has-text('Stop')", timeout=5_000)
    page.wait_for_selector("button:has-text('Send'):not([disabled])", timeout=MINUTE_MS)
    worker.resume()
    with suppress(TimeoutError):  # the transcript is rendered a moment after it came
        stopped.wait_for(timeout=3_000)
        return worker
    return None
