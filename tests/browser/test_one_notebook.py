"""One notebook, run by six programs: each leaves the same text below each cell, and once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.reader import NotJSONError

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Stops an answer behind its last word, as Ctrl-C does that comes just then: what has come by any
# other moment depends on how many words come together.
STOP = """import signal
from ollama_nb.asking.streaming import Arriving
add = Arriving.add
def stopping(self, part):
    add(self, part)
    if part.message.done:
        signal.raise_signal(signal.SIGINT)
Arriving.add = stopping"""
THINKER = '''%%modelfile dreamer
FROM demo
TEMPLATE """{{ range .Messages }}<|im_start|>{{ .Role }}
{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
<think>"""'''
CALLER = '''%%modelfile caller
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
options = {"temperature": 0, "seed": 7, "num_predict": 40}
how = {"tool_choice": "required", "confirm": False, "options": options}
ollama_nb.chat("How warm is Rome?", model="caller", tools=[temperature], **how)"""
SAME = "-m demo -t 0 -o seed=7 -o num_predict=30"
FAILING = ("=many", "Tell me a story")  # what stands in the cells that end with an error
SOURCES = (
    "%load_ext ollama_nb",
    f"%%generate {SAME} -> answer\nWhat is a notebook?",
    "answer",
    f"%chat {SAME} What is a DataFrame?",
    f"%%generate {SAME} --schema 'name: str, age: int'\nAn animal",
    THINKER,
    "%%generate -m dreamer --think=20 -t 0 -o seed=7 -o num_predict=60\nTell me of a robot",
    CALLER,
    CALL,
    "%generate -m demo -o num_predict=many hello",
    STOP,
    f"%%generate {SAME} -> part\nTell me a story",
    "Arriving.add = add; print(part.done_reason)",
)
CLIENT = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook).execute()
nbformat.write(notebook, sys.argv[2])
"""
NBCONVERT = ("-m", "nbconvert", "--log-level=ERROR", "--to", "notebook", "--execute")


def written(path: Path) -> Path:
    """Write the notebook, as if it had never run."""
    cells = [nbformat.v4.new_code_cell(source) for source in SOURCES]
    for cell in cells:
        if any(words in cell.source for words in FAILING):
            cell.metadata["tags"] = ["raises-exception"]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
    nbformat.write(notebook, path)
    return path


def left(path: Path) -> list[list[Any]]:
    """What a saved notebook shows below each of its cells."""
    cells = nbformat.read(path, as_version=4).cells
    return [[_told(one) for one in c.outputs] for c in cells if c.cell_type == "code"]


def is_saved(path: Path) -> bool:
    """Whether the file has the last output; while it is being written it is no notebook."""
    try:
        return bool(left(path)[-1])
    except NotJSONError:
        return False


def _told(output: Any) -> tuple[str, ...]:
    if output.output_type == "stream":
        return output.name, output.text
    if output.output_type == "error":
        return output.ename, output.evalue
    return output.output_type, *(output.data.get(f"text/{kind}") for kind in ("plain", "markdown"))


@pytest.fixture(scope="module")
def environ(ollama_server) -> dict[str, str]:
    """Has every kernel ask the same server."""
    return {"OLLAMA_HOST": ollama_server.url}


@pytest.fixture(scope="module")
def executed(environ, tmp_path_factory) -> dict[str, list[list[Any]]]:
    """What each program leaves that executes notebooks."""
    folder = tmp_path_factory.mktemp("executed")
    source = str(written(folder / "source.ipynb"))
    commands = {
        "nbclient": ("-c", CLIENT, source, str(folder / "nbclient.ipynb")),
        "papermill": ("-m", "papermill", source, str(folder / "papermill.ipynb")),
        "nbconvert": (*NBCONVERT, f"--output={folder / 'nbconvert.ipynb'}", source),
    }
    how = {"env": {**os.environ, **environ}, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    running = [subprocess.Popen([sys.executable, *command], **how) for command in commands.values()]
    said = [one.communicate()[0].decode() for one in running]
    assert [one.returncode for one in running] == [0, 1, 0], said  # papermill: the cell that fails
    return {name: left(folder / f"{name}.ipynb") for name in commands}


def test_an_executed_notebook_says_what_it_should(executed) -> None:
    """Cell by cell, so that equal nothings are no success."""
    found = executed["nbclient"]
    kinds = [[output[0] for output in outputs] for outputs in found]

    assert kinds == [
        [],
        ["display_data"],
        ["execute_result"],
        ["display_data"],
        ["display_data"],
        ["display_data"],
        ["display_data"],
        ["display_data"],
        ["display_data", "display_data"],
        ["display_data", "AnswerFailed"],
        [],
        ["display_data", "Interrupted"],
        ["stdout"],
    ]
    assert found[1][0][-1] == found[2][0][-1]  # the markdown


@pytest.mark.parametrize("program", ["papermill", "nbconvert"])
def test_a_program_leaves_the_same(executed, program: str) -> None:
    assert executed[program] == executed["nbclient"]


@pytest.fixture(scope="module")
def pages(environ, start_jupyter, tmp_path_factory) -> Any:
    """A Jupyter server whose kernels ask the same server, and the folder of its notebooks."""
    folder = tmp_path_factory.mktemp("pages")
    return start_jupyter("--LabApp.news_url=None", root=folder, **environ), folder


@pytest.mark.parametrize("application", ["lab", "notebook"])
def test_a_page_leaves_the_same(
    page, pages, executed, environ, eventually, lab_of, application: str
) -> None:
    server, folder = pages
    path = written(folder / f"{application}.ipynb")
    lab = lab_of(server, application)
    lab.open(path.name)
    lab.run_all()
    eventually(lab.has_run_to_its_end, "the last cell has run", 90)
    lab.idle()

    page.locator(".jp-CodeCell").last.click()
    page.keyboard.press("ControlOrMeta+s")
    eventually(lambda: is_saved(path), "the saved notebook has its last output")

    assert left(path) == executed["nbclient"]
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider"]
    env = {**os.environ, **environ}
    command += ["-c", "/dev/null", "--rootdir", str(folder), str(path)]
    checked = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
