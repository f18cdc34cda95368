"""Documentation that fails when it lies, and what a wheel must hold."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from ollama_nb_server.app import OllamaNb
from ollama_nb_server.environment import Settings
from ollama_nb_server.standalone import arguments

import ollama_nb
from ollama_nb.answers.generation import Generation
from ollama_nb.frames.accessor import LlmFrame, LlmSeries
from ollama_nb.magics.asking import AskingMagics
from ollama_nb.magics.figures import FiguresMagics
from ollama_nb.magics.managing import ManagingMagics
from ollama_nb.magics.subcommands import SUBCOMMANDS
from ollama_nb.managing.card import ModelCard

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_named_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", (ROOT / page).read_text("utf-8")))

    assert named <= targets | {"alone"}


def test_every_environment_variable_that_is_read_is_documented() -> None:
    files = [
        ROOT / "server_ext/ollama_nb_server/environment.py",
        *(ROOT / "ollama_nb").rglob("*.py"),
    ]
    pattern = r"[\"'((]((?:OLLAMA|JUPYTER_OLLAMA)_[A-Z_]+)[\"')]"
    read = {name for file in files for name in re.findall(pattern, file.read_text("utf-8"))}

    assert "OLLAMA_MODELS" in read
    assert {name for name in read if f"`{name}`" not in README} == set()


def untold(names: Iterable[str], page: str = "reference") -> list[str]:
    """Those of the names that the page does not have in a piece of code."""
    told = " ".join(re.findall(r"`[^`\n]+`", (ROOT / f"docs/{page}.md").read_text("utf-8")))
    return [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", told)]


def test_every_public_name_is_told() -> None:
    assert untold(set(ollama_nb.__all__) - {"__version__", "load_ipython_extension"}) == []


def test_every_option_and_word_of_a_magic_is_told() -> None:
    magics = [AskingMagics.generate, AskingMagics.chat, ManagingMagics.ollama]
    magics += [ManagingMagics.modelfile, FiguresMagics.stats, FiguresMagics.bench]
    magics += [FiguresMagics.compare]
    options = {name for magic in magics for name in magic.parser._option_string_actions}

    assert "--schema" in options
    assert untold(options) == []
    assert untold(f"%ollama {word}" for word in SUBCOMMANDS) == []


def test_every_verb_of_a_table_is_told() -> None:
    verbs = {name for kind in (LlmFrame, LlmSeries) for name in vars(kind) if name[0] != "_"}

    assert untold(verbs) == []


@pytest.mark.parametrize("kind", [Generation, ModelCard])
def test_every_attribute_of_an_answer_and_a_card_is_told(kind: type) -> None:
    fields = {name for name in kind.__annotations__ if name[0] != "_"}
    properties = {name for name, value in vars(kind).items() if isinstance(value, property)}

    assert untold((fields | properties) - {"shown"}) == []


def test_every_option_of_the_server_is_told() -> None:
    parser = arguments(Settings.from_environ({}))

    assert (
        untold(name for name in parser._option_string_actions if name not in ("-h", "--help")) == []
    )
    assert [name for name in OllamaNb.class_own_traits(config=True) if name not in README] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_is_linked_is_there(page: str) -> None:
    folder = (ROOT / page).parent
    for link, heading in re.findall(
        r"\]\(([^)#:]*)(?:#([^)]+))?\)", (ROOT / page).read_text("utf-8")
    ):
        target = folder / link if link else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        assert not heading or heading in headings(target), f"{page} links to {link}#{heading}"


def headings(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    lines = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", line).lower().replace(" ", "-") for line in lines}


def test_the_map_names_rooms_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rooms = re.findall(r"^\| `([a-z_/]+)/`", text, re.M)

    assert len(rooms) > 5
    for room in rooms:
        assert (ROOT / room).is_dir() or (ROOT / "server_ext/ollama_nb_server" / room).is_dir()


def test_every_room_of_the_kernel_side_is_on_the_map() -> None:
    rooms = {file.parent.name for file in (ROOT / "ollama_nb").glob("*/__init__.py")}
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")

    assert "asking" in rooms
    assert rooms == set(re.findall(r"^\| `ollama_nb/([a-z_]+)/`", text, re.M))


@pytest.mark.slow
def test_a_wheel_holds_both_houses_and_switches_the_extension_on(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "-q",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    for name in (
        "ollama_nb/py.typed",
        "ollama_nb/widgets/chat.js",
        "ollama_nb/widgets/chat.css",
        "ollama_nb_server/py.typed",
        "ollama_nb_server/data/demo.gguf",
    ):
        assert name in names
    templates = (ROOT / "server_ext").rglob("*.jinja")
    assert {path.relative_to(ROOT / "server_ext").as_posix() for path in templates} <= set(names)
    assert any(n.endswith("jupyter_server_config.d/ollama_nb_server.json") for n in names)
    assert not any(n.startswith(("tests", "demo_model", "benchmarks")) for n in names)


def test_the_extension_is_found_by_jupyter() -> None:
    command = [sys.executable, "-m", "jupyter", "server", "extension", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "ollama_nb_server" in done.stdout + done.stderr


NO_ENGINE = """
import sys
missing = sys.argv[1:]
for name in missing:
    sys.modules[name] = None
import logging
from ollama_nb_server import _jupyter_server_extension_points
app = _jupyter_server_extension_points()[0]["app"]()
app.initialize_handlers()
print(app.handlers)
"""


@pytest.mark.parametrize("missing", [["llama_cpp"], ["orjson", "pydantic", "llama_cpp"]])
def test_without_the_engine_the_extension_says_what_to_install(missing: list[str]) -> None:
    command = [sys.executable, "-c", NO_ENGINE, *missing]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    assert "pip install 'ollama-nb[server]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
