"""Tables of the Jinja tests: conversations, templates, and how an outcome is written down.

Shared by the tests and `tools/record_jinja.py`, which runs it beside transformers: standard library
only. Published templates are read out of the engine's source archive, never kept.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOW = datetime(2026, 5, 4, 13, 37, 0)
COLLECTION = "vendor/llama.cpp/models/templates/"
DEFAULTS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "tools": None,
    "documents": None,
    "add_generation_prompt": True,
}


def conversations() -> dict[str, dict[str, Any]]:
    """The variables of each conversation; `repeat` in the file says its messages over again."""
    table = json.loads((HERE / "conversations.json").read_text("utf-8"))
    for row in table.values():
        row["messages"] *= row.pop("repeat", 1)
    return {name: {**DEFAULTS, **row} for name, row in table.items()}


def own_templates() -> dict[str, str]:
    """Templates of our own, which use what published ones use."""
    return {path.stem: path.read_text("utf-8") for path in HERE.glob("*.jinja")}


def templates_of(sdist: Path) -> dict[str, str]:
    """llama.cpp's collection of published templates, out of llama-cpp-python's source archive."""
    found = {}
    with tarfile.open(sdist) as archive:
        for member in archive:
            _, _, path = member.name.partition("/")
            if path.startswith(COLLECTION) and path.endswith(".jinja"):
                file = archive.extractfile(member)
                assert file is not None
                found[Path(path).stem] = file.read().decode("utf-8")
    return found


def text_digest(text: str) -> str:
    """A rendered text; 64 bits tell texts apart that differ by accident."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def refusal_digest(message: str) -> str:
    """What a template refuses with."""
    return "refused " + text_digest(message)


def failure(error: Exception) -> str:
    """Python's own error: its kind only, since its words differ between versions of Python."""
    return f"failed {type(error).__name__}"
