"""The unmodified clients, stand-alone and below the extension's prefix."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import ollama
import pytest

MESSAGES = [{"role": "user", "content": "Hello"}]
HOSTS = ["ollama_server", "jupyter_server"]
SCRIPT = """
import { Ollama } from 'ollama'
const headers = { Authorization: `Bearer ${process.env.TOKEN}` }
const client = new Ollama({ host: process.env.URL, headers })
let text = ''
const messages = [{ role: 'user', content: 'Hello' }]
for await (const part of await client.chat({ model: 'demo', messages, stream: true })) text += part.message.content
console.log(text.length > 0, (await client.list()).models.length > 0)
"""


@pytest.mark.parametrize("host", HOSTS)
def test_the_python_client(request, host: str) -> None:
    server = request.getfixturevalue(host)
    with closing(ollama.Client(server.url, headers=server.headers, trust_env=False)) as client:
        parts = list(client.chat("demo", messages=MESSAGES, stream=True, options={"seed": 1}))

        assert "".join(part.message.content for part in parts)
        assert parts[-1].done_reason == "stop"
        assert client.show("demo").modelinfo["general.architecture"] == "llama"
        assert len(client.embed("demo", ["a", "b"]).embeddings) == 2
        with pytest.raises(ollama.ResponseError, match="not found"):
            client.generate("nope", "x")


def test_the_environment_alone_connects_the_python_client(jupyter_server, monkeypatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", jupyter_server.token)

    with closing(ollama.Client(jupyter_server.url, trust_env=False)) as client:
        assert client.chat("demo", messages=MESSAGES).done


@pytest.fixture(scope="session")
def npm_folder(tmp_path_factory) -> Path:
    """A folder in which the npm client is installed."""
    if not (shutil.which("node") and shutil.which("npm")):
        assert os.environ.get("CI") != "true", "node and npm are missing"
        pytest.skip("node and npm are not installed: apt-get install nodejs npm")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "chat.js").write_text(SCRIPT)
    subprocess.run(["npm", "install", "--silent", "ollama"], cwd=folder, check=True, timeout=120)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("host", HOSTS)
def test_the_npm_client(request, npm_folder: Path, host: str) -> None:
    server = request.getfixturevalue(host)
    environ = {**os.environ, "URL": server.url, "TOKEN": server.token}
    done = subprocess.run(
        ["node", "chat.js"],
        cwd=npm_folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout.strip(), done.returncode) == ("true true", 0), done.stderr
