"""JupyterLab in a real browser: the tutorial on models, bars that become text, names by Tab."""

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


def test_the_tutorial_on_models_runs_in_a_browser(page, lab, eventually, tmp_path: Path) -> None:
    lab.open("02-models.ipynb")
    lab.run_all()

    eventually(lab.has_run_to_its_end, "the last cell has run", 90)
    lab.idle()
    assert lab.num_errors() == 0
    card = page.locator(".jp-OutputArea-output:has-text('embedding length') table").first
    card.scroll_into_view_if_needed()
    assert "2,048 tokens" in card.inner_text()
    _screenshot(page, tmp_path, "models.png")
    page.locator(
        ".jp-OutputArea-output:has-text('from-a-file is created')"
    ).last.scroll_into_view_if_needed()
    _screenshot(page, tmp_path, "models-file.png")


def test_bars_grow_and_a_text_stays(page, lab, eventually, tmp_path: Path) -> None:
    lab.open("progress.ipynb")
    lab.run_all()
    bar = page.locator(".jp-OutputArea-output table tr").nth(1)
    bar.wait_for(timeout=MINUTE_MS)

    eventually(lambda: "MB/s" in bar.inner_text(), "a rate is shown")
    _screenshot(page, tmp_path, "bars.png")
    assert page.locator(".jp-OutputArea-output").first.inner_text().count("<b>") == 1

    eventually(lab.has_run_to_its_end, "the cell has run", 60)
    output = page.locator(".jp-OutputArea-output").first
    eventually(lambda: "tiny is pulled" in output.inner_text(), "the text takes the bars' place")
    assert "pulling bbbb: 60.0 MB, 100 %" in output.inner_text()
    assert page.locator(".jp-OutputArea-output table").count() == 0


def test_tab_completes_the_name_of_a_model(page, lab, eventually, tmp_path: Path) -> None:
    with lab.server.client() as client:
        for name in ("completed-one", "completed-two"):
            assert client.post("/api/create", json={"model": name, "from": "demo"}).is_success
    lab.open("chat.ipynb")
    page.locator(".jp-CodeCell .cm-content").last.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("%load_ext ollama_nb")
    page.keyboard.press("Shift+Enter")
    lab.idle()
    page.locator(".jp-CodeCell .cm-content").last.click()
    page.keyboard.type("%ollama show compl")
    page.keyboard.press("Tab")

    proposed = page.locator(".jp-Completer-item")
    proposed.first.wait_for(timeout=MINUTE_MS)
    _screenshot(page, tmp_path, "completion.png")
    texts = [text.strip() for text in proposed.all_inner_texts()]
    assert any("completed-one:latest" in text for text in texts)
