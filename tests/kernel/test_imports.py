from __future__ import annotations

import json
import subprocess
import sys

import pytest

import ollama_nb

# What a kernel must not pay for before it uses it.
HEAVY = ["pandas", "numpy", "ollama", "httpx", "ipywidgets", "anywidget", "markdown_it"]
HEAVY += ["matplotlib", "pydantic", "filelock"]
ENGINE = ["llama_cpp", "tornado.web", "zmq", "ollama_nb_server"]


def _run(code: str, *words: str) -> str:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_importing_the_package_brings_nothing_heavy():
    loaded = json.loads(_run("import ollama_nb, sys, json; print(json.dumps(list(sys.modules)))"))

    assert [name for name in [*HEAVY, *ENGINE, "IPython", "asyncio"] if name in loaded] == []


def test_loading_the_extension_brings_nothing_heavy():
    code = (
        "import json, sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "before = set(sys.modules)\n"
        "shell.run_line_magic('load_ext', 'ollama_nb')\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )

    brought = json.loads(_run(code).splitlines()[-1])

    assert [name for name in [*HEAVY, *ENGINE] if name in brought] == []


def test_the_import_takes_less_than_a_third_of_a_second():
    code = "import time; t = time.perf_counter(); import ollama_nb; print(time.perf_counter() - t)"

    assert min(float(_run(code)) for _ in range(3)) < 0.3


def test_the_public_surface_is_this():
    assert ollama_nb.__all__ == [
        "AnswerCut",
        "AnswerFailed",
        "BadChoices",
        "BadColumns",
        "BadMessage",
        "BadModelfile",
        "BadPurpose",
        "BadRepeats",
        "BadSchema",
        "BadTemplate",
        "BadThinking",
        "BadTool",
        "BadValue",
        "CacheWarning",
        "CallRefused",
        "Chat",
        "Connection",
        "Conversation",
        "Embedder",
        "Generation",
        "Interrupted",
        "MagicUsage",
        "MissingPackage",
        "ModelCard",
        "ModelNotFound",
        "NoAccounts",
        "NoChatModel",
        "NoColumn",
        "NoModels",
        "NoProbabilities",
        "NoPrompt",
        "NoServer",
        "NoSuchModelFile",
        "NoTokenCounts",
        "NobodyToAsk",
        "NotAPicture",
        "NotATable",
        "NotAllowed",
        "NotDone",
        "NotFitting",
        "NotJson",
        "NotText",
        "OllamaNbError",
        "QuotaSpent",
        "RowsFailed",
        "ServerNotReady",
        "ServerRefused",
        "ServerWarning",
        "ServerWentAway",
        "Stopped",
        "TooManyRounds",
        "TransferStopped",
        "UnfitModelFile",
        "UnknownColumn",
        "UnknownOption",
        "UnknownTool",
        "WrongArguments",
        "__version__",
        "bench",
        "chat",
        "compare",
        "connect",
        "copy",
        "cp",
        "create",
        "embed",
        "generate",
        "load_ipython_extension",
        "models",
        "ps",
        "pull",
        "push",
        "remove",
        "render",
        "rm",
        "score",
        "settings",
        "show",
        "stats",
        "stop",
        "usage",
    ]


@pytest.mark.parametrize("name", ollama_nb.__all__)
def test_every_public_name_is_there(name):
    assert getattr(ollama_nb, name) is not None
    assert name in dir(ollama_nb)


NAMED_IN_NOTEBOOKS = [
    ("answers", "CallStats"),
    ("answers", "Generation"),  # saved answers (pickle) name it so
    ("errors", "AnswerCut"),
    ("modelfile", "Modelfile"),
    ("modelfile", "parse"),
    ("pictures", "Picture"),
    ("tools.errors", "BadTool"),
    ("widgets.chat", "Chat"),
]
EACH_ALONE = """
import importlib, json, sys
for module, name in json.loads(sys.argv[1]):
    for one in [one for one in sys.modules if one.partition(".")[0] == "ollama_nb"]:
        del sys.modules[one]  # whichever is imported first must work
    assert getattr(importlib.import_module(f"ollama_nb.{module}"), name).__name__ == name, name
print("all")
"""


def test_modules_that_are_named_in_notebooks_keep_their_names():
    assert _run(EACH_ALONE, json.dumps(NAMED_IN_NOTEBOOKS)).strip() == "all"


def test_using_the_package_does_not_hide_a_function_behind_a_module():
    code = (
        "import importlib, pkgutil, ollama_nb\n"
        "for module in pkgutil.walk_packages(ollama_nb.__path__, 'ollama_nb.'):\n"
        "    importlib.import_module(module.name)\n"
        "print([n for n in ollama_nb.__all__ if type(getattr(ollama_nb, n)).__name__ == 'module'])"
    )

    assert _run(code).strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = ollama_nb.nonsense
