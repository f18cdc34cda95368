"""Behind `make demo`: a Jupyter server with the extension, a streamed answer, the quickstart.

Everything lies in a temporary folder, the model store too; nothing of the user's is touched.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "01-quickstart.ipynb"
PROMPT = "Tell me a short story about a brave little boat."
OPTIONS = {"temperature": 0.8, "seed": 7, "num_predict": 200}
START_S, CELL_S = 60.0, 300


def say(text: str = "", end: str = "\n") -> None:
    """Write to the terminal at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


@contextmanager
def jupyter(folder: Path) -> Iterator[tuple[str, str]]:
    """A Jupyter server with the extension: the API's address and its token."""
    token, runtime = secrets.token_hex(16), folder / "runtime"
    command = ["jupyter_server", "--no-browser", "--allow-root", "--port=0"]
    settings = [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    places = {"JUPYTER_RUNTIME_DIR": str(runtime), "OLLAMA_MODELS": str(folder / "models")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *settings],
            env={**os.environ, **places},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield (
            address(runtime / f"jpserver-{process.pid}.json", process, folder / "log", token),
            token,
        )
    finally:
        process.terminate()
        process.wait(30)


def address(facts: Path, process: subprocess.Popen[bytes], log: Path, token: str) -> str:
    """Where the API answers, once it does."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if facts.exists():
            url = str(json.loads(facts.read_text())["url"]) + "ollama"
            if answers(url, token):
                return url
        time.sleep(0.1)
    sys.exit(f"the Jupyter server did not come up:\n{log.read_text()}")


def answers(url: str, token: str) -> bool:
    """Whether the API answers there."""
    try:
        found = httpx.get(f"{url}/api/version", headers=bearer(token), trust_env=False)
    except httpx.TransportError:
        return False
    return found.is_success


def bearer(token: str) -> dict[str, str]:
    """The header that opens the server."""
    return {"Authorization": f"Bearer {token}"}


def stream(url: str, token: str) -> None:
    """One answer, written as it arrives."""
    say(f"> {PROMPT}")
    body = {"model": "demo", "prompt": PROMPT, "options": OPTIONS}
    with httpx.stream(
        "POST",
        f"{url}/api/generate",
        json=body,
        headers=bearer(token),
        timeout=120,
        trust_env=False,
    ) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            chunk = json.loads(line)
            if "error" in chunk:
                sys.exit(chunk["error"])
            say(chunk["response"], end="")
    seconds = chunk["eval_duration"] / 1e9
    say(f"\n[{chunk['eval_count']} tokens, {chunk['eval_count'] / seconds:.0f} tokens/s]\n")


def run_quickstart(url: str, token: str) -> Any:
    """The quickstart notebook, executed against this server."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    os.environ |= {"OLLAMA_HOST": url, "OLLAMA_API_KEY": token}
    client = NotebookClient(notebook, timeout=CELL_S, kernel_name="python3")
    return client.execute(cwd=str(NOTEBOOK.parent))


def show(notebook: Any) -> None:
    """What the cells answered, as text."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.outputs:
            continue
        say("\n".join(f">>> {line}" for line in cell.source.splitlines()))
        for output in cell.outputs:
            say(as_text(output).rstrip())
        say()


def as_text(output: Any) -> str:
    """An output's text: a stream's, or the plain form of what was displayed."""
    if output.output_type == "stream":
        return str(output.text)
    data = output.get("data", {})
    return str(data.get("text/plain") or "")


def main() -> None:
    """Do it all."""
    with tempfile.TemporaryDirectory(prefix="ollama-nb-demo-") as folder:
        say("starting a Jupyter server with the ollama_nb extension ...")
        with jupyter(Path(folder)) as (url, token):
            say(f"Ollama's API is served on {url}\n")
            stream(url, token)
            say(f"executing {NOTEBOOK.parent.name}/{NOTEBOOK.name} against it ...\n")
            show(run_quickstart(url, token))
    say("Open it yourself with: make lab")


if __name__ == "__main__":
    main()
