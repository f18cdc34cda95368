"""The README's configuration of a Hub, and what a test adds to it: ports, folders, who is who."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"```python\n(from ollama_nb_server\.hub import configure\n.*?)```", re.S)


def of_the_readme() -> str:
    (text,) = FENCE.findall((ROOT / "README.md").read_text("utf-8"))
    return text
