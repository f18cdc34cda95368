"""What `%load_ext` and `import ollama_nb.frames` bring, in whichever order things are imported.

Which order it was, only a fresh process can show. A few orders cover all that there is to see, each
process tells what it saw on its way as one line of JSON, and the tests read these.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

KINDS = ["LlmFrame", "LlmSeries"]


def _run(code: str, cwd=None) -> dict:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


BEGIN = """
import json, sys, warnings
saw = {}
def there(name): return name in sys.modules
def kinds(library): return [type(library.DataFrame({"a": [1]}).llm).__name__, type(library.Series([1]).llm).__name__]
"""
LOADED = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "ollama_nb")
"""
AGAIN = "shell.run_line_magic('reload_ext', 'ollama_nb')\n"
END = "print(json.dumps(saw))"

PANDAS_LATER = f"""{BEGIN}{LOADED}
saw["brought"] = [name for name in ("pandas", "polars") if there(name)]
import pandas as pd
{AGAIN}
saw["frames at once"] = there("ollama_nb.frames")
class Own(pd.DataFrame):
    pass
saw["of a subclass"] = type(Own({{"a": [1]}}).llm).__name__
saw["pandas"] = kinds(pd)
saw["frames when used"] = there("ollama_nb.frames")
{END}"""
PANDAS_FIRST = f"""{BEGIN}
import pandas as pd
pd.Series.llm = "theirs"
{LOADED}
saw["of somebody else"] = pd.Series([1]).llm
saw["frames at once"] = there("ollama_nb.frames")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    saw["pandas"] = kinds(pd)
saw["told"] = [str(warning.message) for warning in told]
saw["frames when used"] = there("ollama_nb.frames")
{END}"""
FRAMES_ALONE = f"""{BEGIN}
import pandas as pd, ollama_nb.frames
saw["IPython"] = there("IPython")
saw["without IPython"] = kinds(pd)
{LOADED}{AGAIN}
saw["pandas"] = kinds(pd)
{END}"""


@pytest.fixture(scope="module")
def pandas_later():
    return _run(PANDAS_LATER)


@pytest.fixture(scope="module")
def pandas_first():
    return _run(PANDAS_FIRST)


@pytest.fixture(params=["pandas_later", "pandas_first"])
def saw(request):
    return request.getfixturevalue(request.param)


def test_the_extension_brings_the_accessor_and_frames_are_imported_on_first_use(saw):
    assert (saw["frames at once"], saw["frames when used"]) == (False, True)
    assert saw["pandas"] == KINDS


def test_the_extension_imports_neither_pandas_nor_polars(pandas_later):
    assert pandas_later["brought"] == []


def test_a_subclass_of_a_frame_has_it_too_though_it_is_looked_at_first(pandas_later):
    assert pandas_later["of a subclass"] == "LlmFrame"


def test_an_accessor_of_somebody_else_stays_until_frames_are_asked_for(pandas_first):
    assert pandas_first["of somebody else"] == "theirs"
    (told,) = pandas_first["told"]  # by pandas, which sees theirs go
    assert "overriding a preexisting attribute" in told


def test_importing_frames_alone_registers_the_accessor_and_the_extension_may_follow():
    saw = _run(FRAMES_ALONE)

    assert (saw["IPython"], saw["without IPython"], saw["pandas"]) == (False, KINDS, KINDS)


@pytest.mark.parametrize("first", ["pandas", "polars", "ollama_nb.frames"])
def test_polars_has_it_too_whatever_comes_first(first):
    pytest.importorskip("polars", reason="polars is not installed")
    code = (
        f"{BEGIN}{LOADED}import {first}\nimport polars as pl, pandas as pd\n"
        f"saw['polars'], saw['pandas'] = kinds(pl), kinds(pd)\n{END}"
    )

    assert _run(code) == {"polars": KINDS, "pandas": KINDS}


WATCHING = """
import json, pathlib, sys
from ollama_nb.importing import when_imported
saw, told, finders = {}, [], len(sys.meta_path)
def first(module): told.append(("first", module.VALUE))
def second(module): told.append(("second", module.VALUE))
when_imported("watched", first)
when_imported("watched", first)
when_imported("watched", second)
try:
    import watched
except ModuleNotFoundError:
    saw["missing"] = list(told)
pathlib.Path("watched.py").write_text("VALUE = 2")
import importlib
importlib.invalidate_caches()
import watched
saw["told"] = sorted(told)
when_imported("watched", second)
saw["told of what is there"] = told[2:]
when_imported("ready", first)
import ready
saw["ready"] = told[3:]
saw["finders"] = len(sys.meta_path) - finders
saw["of the loader"] = list(vars(watched.__spec__.loader))
print(json.dumps(saw))
"""


def test_what_waits_for_a_module_is_done_once_when_its_code_has_run(tmp_path):
    (tmp_path / "ready.py").write_text("VALUE = 1")

    saw = _run(WATCHING, cwd=tmp_path)

    assert saw["missing"] == []  # one that is not there stays waited for
    assert saw["told"] == [["first", 2], ["second", 2]]
    assert saw["told of what is there"] == [["second", 2]]
    assert saw["ready"] == [["first", 1]]
    assert saw["finders"] == 0
    assert "exec_module" not in saw["of the loader"]
