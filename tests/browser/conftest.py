"""JupyterLab and Notebook 7 in a real browser: a server with notebooks of a test, a page, what a person does on it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))

from other_ollama import OtherOllama

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


class Lab:
    """JupyterLab on one page, as a person uses it."""

    def __init__(
        self, page: Page, server: Any, until: Callable[..., object], application: str = "lab"
    ) -> None:
        self.page, self.server, self._until = page, server, until
        self.application = application

    def open(self, notebook: str) -> None:
        url = f"{self._base}{self._place(notebook)}?token={self.server.token}"
        self.page.goto(url, wait_until="domcontentloaded")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=MINUTE_MS)
        self._until(lambda: self._has_kernel(notebook), "the page has its kernel", 60)
        self.idle()

    @property
    def _base(self) -> str:
        return self.server.url.removesuffix("ollama")

    def _place(self, notebook: str) -> str:
        places = {
            "lab": f"lab/workspaces/{secrets.token_hex(4)}/tree/{notebook}",
            "notebook": f"notebooks/{notebook}",
        }
        return places[self.application]

    def _has_kernel(self, notebook: str) -> bool:
        """Whether the page talks to its kernel: who runs a cell earlier is asked to choose one."""
        kernels = self._kernels(notebook)
        return any(one["connections"] and one["execution_state"] == "idle" for one in kernels)

    def _kernels(self, notebook: str) -> list[dict[str, Any]]:
        with self.server.client() as client:
            sessions = client.get(f"{self._base}api/sessions").json()
        return [one["kernel"] for one in sessions if one["path"] == notebook]

    def kernel(self, notebook: str) -> psutil.Process:
        """The process of the kernel that a notebook has."""
        (kernel,) = self._kernels(notebook)
        children = psutil.Process(self.server.process.pid).children(recursive=True)
        (process,) = (one for one in children if kernel["id"] in " ".join(one.cmdline()))
        return process

    def idle(self) -> None:
        selector = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
        self.page.wait_for_selector(selector, timeout=2 * MINUTE_MS)

    def run_all(self) -> None:
        """Choose it from the menu, again if Lab has lost it: right after opening it sometimes does."""
        first = self.page.locator(".jp-CodeCell .jp-InputPrompt").first
        for _ in range(4):
            self.page.click(".lm-MenuBar-itemLabel >> text=Run")
            self.page.click('.lm-Menu-itemLabel >> text="Run All Cells"')
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                if re.search(r"\d|\*", first.inner_text()):
                    return
                self.page.wait_for_timeout(200)
        raise AssertionError("no cell runs")

    def has_run_to_its_end(self) -> bool:
        prompt = self.page.locator(".jp-CodeCell .jp-InputPrompt").last.inner_text()
        return re.fullmatch(r"\[\d+\]:?", prompt.strip()) is not None

    def num_errors(self) -> int:
        errors = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']"
        return self.page.locator(errors).count()


def without_outputs(name: str, folder: Path) -> None:
    """Put a copy of a tutorial into the folder, as if it had never run."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / name)


def of_cells(folder: Path, name: str, *sources: str) -> None:
    """Write a notebook of these cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / name)


BOX = """import ollama_nb
box = ollama_nb.Chat(model='demo', options={'temperature': 5.0, 'top_k': 0, 'top_p': 1.0})
box"""
ASKING = '''%%modelfile asking
FROM demo
TEMPLATE """{{ range .Tools }}{{ .Function }}{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}{{ range .ToolCalls }}<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }}<|im_end|>
{{ end }}<|im_start|>assistant
"""'''
CALL = """from typing import Literal
import ollama_nb
def temperature(city: Literal["Rome"]) -> float:
    "Look up how warm it is."
    return 26.5
how = {"temperature": 0, "tool_choice": "required", "options": {"num_predict": 60}}
ollama_nb.chat("How warm is Rome?", model="asking", tools=[temperature], **how)"""
LAYERS = """import time
from ollama_nb.display.progress import Progress
from ollama_nb.managing.transfers import following
progress = Progress("pulling", "pulled", "tiny")
with following(progress, show=True, next_time="") as tell:
    tell({"status": "pulling aaaa<b>", "total": 4_000_000, "completed": 4_000_000})
    for step in range(600):
        tell({"status": "pulling bbbb", "total": 60_000_000, "completed": step * 100_000})
        time.sleep(0.02)"""


@pytest.fixture(scope="session", name="of_cells")
def _of_cells() -> Callable[..., None]:
    """`of_cells(folder, name, *sources)` writes a notebook."""
    return of_cells


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notebooks to open: the tutorials, one with the chat box, one with progress bars."""
    folder = tmp_path_factory.mktemp("notebooks")
    without_outputs("01-quickstart.ipynb", folder)
    without_outputs("02-models.ipynb", folder)
    without_outputs("03-structured.ipynb", folder)
    without_outputs("04-tools.ipynb", folder)
    of_cells(folder, "asking.ipynb", "%load_ext ollama_nb", ASKING, CALL)
    of_cells(folder, "chat.ipynb", BOX)
    of_cells(folder, "progress.ipynb", LAYERS)
    return folder


@pytest.fixture(scope="module")
def lab_server(
    start_jupyter: Callable[..., Any], folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    settings = tmp_path_factory.mktemp("settings")
    for plugin, values in SETTINGS.items():
        file = settings / f"@jupyterlab/{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    return start_jupyter(
        "--LabApp.news_url=None", f"--LabApp.user_settings_dir={settings}", root=folder
    )


@pytest.fixture(scope="module")
def other() -> Iterator[OtherOllama]:
    """A server whose model `other` says what it is asked, a word at a time."""
    server = OtherOllama()
    server.models = ["other"]
    yield server
    server.stop()


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


@pytest.fixture
def lab_of(page: Page, eventually: Callable[..., object]) -> Callable[..., Lab]:
    """`lab_of(server, "lab" or "notebook")`: the same page for another server or application."""
    return lambda server, application: Lab(page, server, eventually, application)


@pytest.fixture
def lab(page: Page, lab_server: Any, eventually: Callable[..., object]) -> Lab:
    return Lab(page, lab_server, eventually)


@pytest.fixture(params=["lab", "notebook"])
def front_end(request: pytest.FixtureRequest, lab_server: Any, lab_of: Callable[..., Lab]) -> Lab:
    """Each front end that has notebooks."""
    return lab_of(lab_server, request.param)
