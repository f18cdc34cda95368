from __future__ import annotations

import json
import subprocess
import sys

import pytest


def _run(code: str, cwd=None) -> list[str]:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


LOADED = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "ollama_nb")
"""
SAY = """
print(type(pd.DataFrame({"a": [1]}).llm).__name__, type(pd.Series([1]).llm).__name__)
print("ollama_nb.frames" in sys.modules)
"""


@pytest.mark.parametrize(
    "code",
    [
        f"import pandas as pd; {LOADED}" + "print('ollama_nb.frames' in sys.modules)" + SAY,
        f"{LOADED}\nimport pandas as pd\nprint('ollama_nb.frames' in sys.modules)" + SAY,
    ],
    ids=["pandas first", "pandas later"],
)
def test_the_extension_brings_the_accessor_and_frames_are_imported_on_first_use(code):
    before, kinds, after = _run(code.replace("; \n", "\n"))

    assert (before, kinds, after) == ("False", "LlmFrame LlmSeries", "True")


def test_the_extension_imports_no_pandas():
    assert _run(LOADED + "print('pandas' in sys.modules, 'polars' in sys.modules)") == [
        "False False"
    ]


def test_importing_frames_alone_registers_the_accessor():
    code = "import sys, pandas as pd, ollama_nb.frames" + SAY

    assert _run(code)[0] == "LlmFrame LlmSeries"


def test_the_extension_may_be_loaded_again_and_after_frames():
    again = "shell.run_line_magic('reload_ext', 'ollama_nb')\n"
    code = f"import pandas as pd, ollama_nb.frames\n{LOADED}{again}{SAY}"

    assert _run(code)[0] == "LlmFrame LlmSeries"
    assert _run(
        f"{LOADED}import pandas as pd\n{again}print('ollama_nb.frames' in sys.modules)"
    ) == ["False"]


def test_a_subclass_of_a_frame_has_it_too():
    code = (
        f"{LOADED}import pandas as pd\nclass Own(pd.DataFrame):\n    pass\n"
        "print(type(Own({'a': [1]}).llm).__name__)"
    )

    assert _run(code) == ["LlmFrame"]


@pytest.mark.parametrize("order", ["pandas first", "polars first", "frames first"])
def test_polars_has_it_too_whatever_comes_first(order):
    pytest.importorskip("polars", reason="polars is not installed")
    first = {"pandas first": "pandas", "polars first": "polars", "frames first": "ollama_nb.frames"}
    code = (
        f"{LOADED}import {first[order]}\nimport pandas as pd, polars as pl\n"
        "print(type(pl.DataFrame({'a': [1]}).llm).__name__, type(pl.Series([1]).llm).__name__)\n"
        "print(type(pd.Series([1]).llm).__name__)"
    )

    assert _run(code) == ["LlmFrame LlmSeries", "LlmSeries"]


def test_an_accessor_of_somebody_else_stays_until_frames_are_asked_for():
    code = f"import pandas as pd\npd.DataFrame.llm = 'theirs'\n{LOADED}print(pd.DataFrame().llm)"

    assert _run(code) == ["theirs"]


WATCHING = """
import json, sys
from ollama_nb.importing import when_imported
told = []
def first(module): told.append(("first", module.VALUE))
def second(module): told.append(("second", module.VALUE))
when_imported("watched", first)
when_imported("watched", first)
when_imported("watched", second)
before = list(told)
"""


def test_what_waits_for_a_module_is_done_once_when_its_code_has_run(tmp_path):
    (tmp_path / "watched.py").write_text("VALUE = 1\n")
    code = (
        f"{WATCHING}import watched\nwhen_imported('watched', second)\n"
        "loader = watched.__spec__.loader\n"
        "print(json.dumps([before, sorted(told), len(sys.meta_path), list(vars(loader))]))"
    )

    (line,) = _run(code, cwd=tmp_path)

    before, told, num_finders, of_the_loader = json.loads(line)
    assert before == []
    assert told == [["first", 1], ["second", 1], ["second", 1]]
    assert num_finders == int(_run("import sys; print(len(sys.meta_path))")[0])
    assert "exec_module" not in of_the_loader


def test_a_module_that_is_not_there_stays_waited_for(tmp_path):
    code = (
        f"{WATCHING}\ntry:\n    import watched\nexcept ModuleNotFoundError:\n    pass\n"
        "import importlib, pathlib\npathlib.Path('watched.py').write_text('VALUE = 2')\n"
        "importlib.invalidate_caches()\nimport watched\nprint(json.dumps(sorted(told)))"
    )

    assert json.loads(_run(code, cwd=tmp_path)[0]) == [["first", 2], ["second", 2]]
