"""Seconds to import: the kernel side, its magics, the extension; each in a new process."""

from __future__ import annotations

import json
import subprocess
import sys

TRIES = 7
TIMED = """
import sys, time
{before}
began = time.perf_counter()
{statement}
sys.stdout.write(str(time.perf_counter() - began))
"""
SHELL = "from IPython import InteractiveShell; shell = InteractiveShell.instance()"
# what: (what is there already, what is measured)
STATEMENTS = {
    "import ollama_nb": ("", "import ollama_nb"),
    "%load_ext ollama_nb": (SHELL, "shell.run_line_magic('load_ext', 'ollama_nb')"),
    "the extension's app": (
        "import jupyter_server.extension.application",
        "import ollama_nb_server.app",
    ),
    "the extension's handlers": (
        "import jupyter_server.base.handlers",
        "import ollama_nb_server.handlers.routes",
    ),
}


def seconds(before: str, statement: str) -> float:
    """What the statement takes in a process that has done the other one."""
    script = TIMED.format(before=before, statement=statement)
    command = [sys.executable, "-c", script]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    rows = [
        {"what": what, "seconds": round(min(seconds(*pair) for _ in range(TRIES)), 3)}
        for what, pair in STATEMENTS.items()
    ]
    for row in rows:
        print(row, file=sys.stderr)
    print(json.dumps({"benchmark": "imports", "rows": rows}))


if __name__ == "__main__":
    main()
