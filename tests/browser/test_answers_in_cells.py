"""Answers below cells: what a model wrote is shown, coloured where it is code, and never runs.

Front ends render the HTML in the markdown of a cell that has just run, scripts included.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HOSTILE = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">
<svg/onload="window.hacked=3"> [link](javascript:window.hacked=4) <iframe srcdoc="<p>"></iframe>
![picture](https://nowhere.invalid/?stolen) <details open ontoggle="window.hacked=5">"""
CODE = "```python\nreturn 1  # so\n```"
CELLS = [
    "%load_ext ollama_nb\nimport ollama_nb\nollama_nb.connect({url!r})\nhostile = {hostile!r}",
    "%%chat -m other\n" + HOSTILE,
    "ollama_nb.chat(hostile, model='other')",
    "%chat -m other colours",
    "%%generate -m other\n" + HOSTILE,
    "answer = ollama_nb.generate(hostile, model='other', show=True)",
    "answer",
]
ALIVE = "script, img, svg[onload], iframe, details, [onerror], [ontoggle], a[href^=javascript]"
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_nothing_in_an_answer_runs(
    front_end, other, of_cells, folder: Path, eventually, tmp_path: Path
) -> None:
    first = CELLS[0].format(url=other.url, hostile=HOSTILE)
    other.script = [[{"content": said}] for said in (HOSTILE, HOSTILE, CODE)]
    of_cells(folder, "hostile.ipynb", first, *CELLS[1:])
    page = front_end.page
    front_end.open("hostile.ipynb")
    front_end.run_all()
    eventually(front_end.has_run_to_its_end, "the last cell has run", 60)
    front_end.idle()

    assert front_end.num_errors() == 0
    page.screenshot(path=os.environ.get("SCREENSHOT", str(tmp_path / "hostile.png")))
    outputs = page.locator(".jp-OutputArea-output")
    shown = outputs.filter(has_text="window.hacked = 2")
    assert shown.count() == len(CELLS) - 2
    assert shown.locator(ALIVE).count() == 0
    assert page.evaluate("window.hacked") is None

    code = page.locator(".jp-OutputArea-output pre.ollama-nb-code")
    colours = {_colour(code.locator(f".{kind}")) for kind in ("keyword", "number", "comment")}
    assert len(colours | {_colour(code)}) == 4


def _colour(element) -> str:
    return element.evaluate("element => getComputedStyle(element).color")
