"""README and the pages of docs/ run as they are written, every block of them.

Each page is read by somebody with a kernel, a shell and a server (`page_reader`). The server has the
bundled model under the names that the pages use, some with another template, one with random eyes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import vision_models
from cells import eventually, kernel_environ
from page_blocks import Block, blocks_of
from page_reader import Reader

import ollama_nb

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
PAGES.sort()
SHORT = "PARAMETER num_predict 60\n"  # answers end soon
TOOLS = """TEMPLATE \"\"\"{{ if .Tools }}<|im_start|>system
You may call: {{ .Tools }}<|im_end|>
{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}
{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}{{ range .ToolCalls }}<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }}<|im_end|>
{{ end }}<|im_start|>assistant
\"\"\"
"""
MODELFILES = {
    "demo": f"FROM demo\n{SHORT}",
    "smollm2": f"FROM demo\n{SHORT}",
    "all-minilm": "FROM demo\n",
    "codellama:code": f'FROM demo\n{SHORT}TEMPLATE "<PRE> {{{{ .Prompt }}}} <SUF>{{{{ .Suffix }}}} <MID>"',
    "gemma3": f"FROM ./model.gguf\nFROM ./eye.gguf\n{SHORT}",
    **dict.fromkeys(
        ["qwen2.5-coder:0.5b", "qwen3"], f"FROM demo\nPARAMETER temperature 0\n{SHORT}{TOOLS}"
    ),
}

NOT_RUN = {
    ("README.md", "make lab"): "set-up: it compiles the engine and opens a browser",
    ("README.md", 'pip install "ollama-nb[server]"'): "it installs",
    ("README.md", 'CMAKE_ARGS="-DGGML_CUDA=on" pip install'): "it compiles for a GPU",
    ("README.md", "%ollama pull llama3.2"): "the internet; pulling is tested in tests/registry",
    ("README.md", "ollama-nb serve"): "it does not end: see test_the_server_of_the_page_serves",
    ("docs/sharing.md", "usage = ollama_nb.usage"): "it needs a shared server: test_accounts.py",
    ("docs/http-api.md", 'curl -H "Authorization'): "it needs a shared server: tests/http",
    ("docs/sharing.md", "ollama-nb serve"): "it does not end, and is for other machines",
    ("README.md", 'pip install "ollama-nb[server,hub]"'): "it installs",
    ("docs/embeddings.md", "class Backend(bertopic"): "BERTopic is no dependency, of tests neither",
    ("CONTRIBUTING.md", "git clone"): "set-up: it compiles the engine and runs these tests",
}
# What the models here cannot do, with the sentence that says so.
REFUSED: dict[tuple[str, str], str] = {}
# Frames that a page makes, whose columns it explains.
COLUMNS = {
    "docs/embeddings.md": ["vectors.llm.neighbors(k=2)", "vectors.llm.duplicates(0.9)"],
    "docs/reference.md": ["ollama_nb.models()"],
    "docs/statistics.md": ["ollama_nb.stats()", "ollama_nb.ps()", "measured", "answers"],
}


def blocks(page: str) -> list[Block]:
    return list(blocks_of(ROOT / page, page))


def entry(table: dict[tuple[str, str], str], block: Block) -> str | None:
    """Return what a table says of a block, which it knows by how its first line begins."""
    page, first = block.key
    return next(
        (told for (of, begin), told in table.items() if of == page and first.startswith(begin)),
        None,
    )


@pytest.fixture(scope="module")
def home(start_server, start_jupyter, models_dir, tmp_path_factory):
    """Where the pages are read: servers, and a folder with the files that they name."""
    folder = tmp_path_factory.mktemp("pages")
    model, eye = vision_models.written(models_dir, "demo")
    shutil.copy(model, folder / "model.gguf")
    shutil.copy(eye, folder / "eye.gguf")
    (folder / "plot.png").write_bytes(vision_models.noise(1))
    (folder / "handbook.md").write_text("Read me.")
    (folder / "hub.toml").write_text("[hub]\n")
    server = start_server()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ollama_nb.connect(server.url)
        for name, modelfile in MODELFILES.items():
            ollama_nb.create(name, modelfile, show=False)
    return SimpleNamespace(server=server, jupyter=start_jupyter(), folder=folder)


@pytest.fixture
def reader(home, tmp_path):
    instead = {
        "http://127.0.0.1:11434": home.server.url,
        "http://localhost:8888/ollama": home.jupyter.url,
        "YOUR_JUPYTER_TOKEN": home.jupyter.token,
        "/srv/course/handbook.md": str(home.folder / "handbook.md"),
    }
    environ = kernel_environ(home.server.url, tmp_path, OLLAMA_NB_MODEL="demo")  # as a new user has
    environ["OLLAMA_API_KEY"] = "as a Hub gives one"
    reader = Reader(home.folder, environ, instead)
    yield reader
    reader.close()


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_runs_as_it_is_written(page, reader):
    complaints = []
    for block in (block for block in blocks(page) if entry(NOT_RUN, block) is None):
        sentence, found = entry(REFUSED, block), reader.complaint(block)
        if (sentence not in found) if sentence else found:
            complaints.append(f"{block.place}: {found or 'refuses nothing'}")

    assert complaints == []
    code = re.findall("`[^`\n]+`", (ROOT / page).read_text("utf-8"))
    for frame in COLUMNS.get(page, ()):
        columns = reader.cells.run(f"print(*{frame}, sep='\\n')").stdout.split()
        assert columns
        assert [name for name in columns if f"`{name}`" not in code] == []


@pytest.mark.parametrize("key", [*NOT_RUN, *REFUSED], ids=" ".join)
def test_what_is_told_of_a_block_is_told_of_one_that_is_there(key):
    page, first = key

    assert len([block for block in blocks(page) if block.key[1].startswith(first)]) == 1


FAULTY = """
Words.
```python
number = 1
numbr
```
~~~python
import warnings
warnings.warn("look out")
print(f"took {number * 17} s")
~~~
```text
took 3 s
```
```text
took 3 h
```
```sh
echo '{"a": [1, 2]}'
```
```json
{"a": [3.5]}
```
```json
{"a": ["x"]}
```
```sh
echo '{"error": "no"}'
```
```sh
false
```
```yaml
a: [
```
```
What is this?
```
"""
FOUND = [
    "faulty.md:4: NameError: name 'numbr' is not defined",
    r"faulty.md:8: .*UserWarning: look out",
    r"faulty.md:16: not shown: \['took 3 h'\]",
    "faulty.md:25: that is not what comes",
    'faulty.md:28: {"error": "no"}',
    "faulty.md:31: it ends with 1",
    "faulty.md:34: this is no YAML",
    "faulty.md:37: nobody can run 'no language'",
]


def test_whatever_is_wrong_with_a_block_is_told_with_page_and_line(reader, tmp_path):
    (tmp_path / "faulty.md").write_text(FAULTY)
    told = [
        (block.place, reader.complaint(block))
        for block in blocks_of(tmp_path / "faulty.md", "faulty.md")
    ]

    complaints = [f"{place}: {found}" for place, found in told if found]

    assert len(complaints) == len(FOUND)
    for complaint, pattern in zip(complaints, FOUND, strict=True):
        assert re.match(pattern, complaint)


@pytest.mark.parametrize("text", ["Words:\n\n    make it\n", "```python\n1\n"])
def test_code_that_nobody_can_tell_for_what_it_is_fails(text, tmp_path):
    (tmp_path / "page.md").write_text(text)

    with pytest.raises(ValueError, match=r"page\.md:[13]: "):
        list(blocks_of(tmp_path / "page.md", "page.md"))


def test_the_server_of_the_page_serves(tmp_path):
    """README's own command, at the address that OLLAMA_HOST names."""
    (block,) = (b for b in blocks("README.md") if b.text.startswith("ollama-nb serve"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    places = {"OLLAMA_HOST": address, "OLLAMA_MODELS": str(tmp_path / "models")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        ["bash", "-c", block.text],
        env={**os.environ, **places, "PATH": path},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert eventually(lambda: served(address), "the server answers", 40)["version"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(15)


def served(address: str) -> dict[str, str]:
    try:
        return httpx.get(f"http://{address}/api/version", trust_env=False).json()
    except httpx.TransportError:
        return {}
