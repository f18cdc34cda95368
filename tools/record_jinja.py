"""Records what transformers makes of chat templates: run it when a template or table changed.

Needs the network: it installs transformers in an environment of its own and, unless told where they
are, downloads llama-cpp-python's sources for llama.cpp's collection of published templates. Writes
digests only; no template and no text is kept.

    python tools/record_jinja.py [llama_cpp_python-0.3.36.tar.gz]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "prompts" / "jinja"
ENGINE = "llama-cpp-python==0.3.36"

# Runs where transformers is: it must import nothing of ours. `published.py` is the tests' module
# that reads the tables; it needs only the standard library.
PROGRAM = """
import json, sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import jinja2
from transformers.utils import chat_template_utils

folder, sdist = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(folder))
import published


class Clock(datetime):
    @classmethod
    def now(cls, tz=None):
        return published.NOW


chat_template_utils.datetime = Clock


def outcome(source, variables):
    try:
        template = chat_template_utils._compile_jinja_template(source)
        return published.text_digest(template.render(**variables))
    except jinja2.TemplateError as error:
        return published.refusal_digest(error.message or type(error).__name__)
    except Exception as error:  # whatever a template makes Python raise is an outcome to record
        return published.failure(error)


def outcomes(templates):
    return {
        name: [outcome(source, variables) for variables in published.conversations().values()]
        for name, source in sorted(templates.items())
    }


record = {
    "transformers": version("transformers"),
    "jinja2": version("jinja2"),
    "sdist": sdist.name,
    "conversations": list(published.conversations()),
    "own": outcomes(published.own_templates()),
    "published": outcomes(published.templates_of(sdist)),
}
print(json.dumps(record))
"""


def run(*command: str | Path) -> str:
    """The output of a command that must succeed."""
    return subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True
    ).stdout


def sdist(folder: Path) -> Path:
    """The engine's sources, downloaded."""
    python = Path(sys.executable)
    options = ["-q", "--no-deps", "--no-binary", ":all:", "-d", folder]
    run(python, "-m", "pip", "download", *options, ENGINE)
    return next(folder.glob("*.tar.gz"))


def layout(record: dict[str, object]) -> str:
    """JSON with one template a line."""
    lines = []
    for key, value in record.items():
        if isinstance(value, dict):
            rows = (f"    {json.dumps(name)}: {json.dumps(row)}" for name, row in value.items())
            lines.append(f"  {json.dumps(key)}: {{\n" + ",\n".join(rows) + "\n  }")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Record everything anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = Path(sys.argv[1]) if len(sys.argv) > 1 else sdist(folder)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "-q", "transformers", "jinja2")
        record = json.loads(run(python, "-c", PROGRAM, FOLDER, sources.resolve()))
    (FOLDER / "transformers.json").write_text(layout(record), "utf-8")


if __name__ == "__main__":
    main()
