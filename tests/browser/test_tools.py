"""JupyterLab in a real browser: a folded thought, a call that is asked about, a picture in the cell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

MINUTE_MS = 60_000
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _screenshot(page: Page, tmp_path: Path, name: str) -> None:
    """Keep a picture where SCREENSHOTS says, for people to look at."""
    page.screenshot(path=Path(os.environ.get("SCREENSHOTS", tmp_path)) / name)


def test_the_tutorial_on_tools_runs_in_a_browser(page, lab, eventually, tmp_path: Path) -> None:
    lab.open("04-tools.ipynb")
    lab.run_all()
    eventually(lab.has_run_to_its_end, "the last cell has run", 120)
    lab.idle()
    assert lab.num_errors() == 0

    call = page.locator(".jp-OutputArea-output code:has-text('temperature(')").first
    call.scroll_into_view_if_needed()
    assert "city=" in call.inner_text()
    _screenshot(page, tmp_path, "tools-call.png")

    thought = page.locator(".jp-OutputArea-output details:has-text('thought (')").first
    thought.scroll_into_view_if_needed()
    inside = thought.locator("pre")
    assert not inside.is_visible()
    _screenshot(page, tmp_path, "tools-folded.png")
    thought.locator("summary").click()
    assert inside.is_visible()
    _screenshot(page, tmp_path, "tools-thought.png")

    picture = page.locator(".jp-OutputArea-output img").last
    picture.scroll_into_view_if_needed()
    assert 0 < picture.bounding_box()["width"] <= 320
    _screenshot(page, tmp_path, "tools-picture.png")


def test_a_call_waits_for_a_yes(page, lab, eventually, tmp_path: Path) -> None:
    lab.open("asking.ipynb")
    lab.run_all()
    box = page.locator(".jp-Stdin-input")
    box.wait_for(timeout=MINUTE_MS)
    asked = page.locator(".jp-OutputArea-output code:has-text('temperature(')").first
    assert asked.inner_text() == "temperature(city='Rome')"
    assert page.locator(".jp-OutputArea-output:has-text('26.5')").count() == 0
    _screenshot(page, tmp_path, "tools-asked.png")

    box.fill("y")
    box.press("Enter")

    eventually(lab.has_run_to_its_end, "the cell has run", 60)
    lab.idle()
    assert page.locator(".jp-OutputArea-output code:has-text('26.5')").count() == 1
    assert lab.num_errors() == 0
    _screenshot(page, tmp_path, "tools-answered.png")
