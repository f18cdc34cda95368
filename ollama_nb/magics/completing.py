"""Tab completion on the lines of our magics: words, options, and the names of models.

Where the names come from is in `known_names`; which words there are, with the magics.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from ollama_nb.connection.options import KNOWN as OPTIONS
from ollama_nb.magics.known_names import KnownNames
from ollama_nb.magics.pictures import likely_files, likely_pictures
from ollama_nb.magics.schemas import schemas_among
from ollama_nb.magics.subcommands import SUBCOMMANDS
from ollama_nb.managing.modelfile.parameters import NAMES as PARAMETERS
from ollama_nb.managing.modelfile.scanner import COMMANDS, ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

FORMATS = ("json",)
QUANTIZATIONS = ("q8_0", "q4_K_M", "q4_K_S", "f16", "bf16", "f32")
# A line of ours up to the cursor: maybe `name =`, the magic, the words before, the begun one.
_LINE = re.compile(
    r"\s*(?:[\w., ]+=\s*)?%{1,2}(?P<magic>ollama|generate|chat|modelfile|stats|bench|compare)\s+"
    r"(?P<before>(?:\S+\s+)*)(?P<begun>\S*)$"
)
_FIRST_WORD = re.compile(r"\s*(?P<word>[A-Za-z]+)[ \t]+(?P<begun>\S*)$")
Result = dict[str, Any]  # IPython's SimpleMatcherResult
_NONE: Result = {"completions": [], "suppress": False}


def complete_names(shell: InteractiveShell) -> None:
    """Let the shell's completer ask us; a second call changes nothing."""
    matchers = shell.Completer.custom_matchers
    if not any(getattr(matcher, "is_of_ollama_nb", False) for matcher in matchers):
        matchers.append(_matcher(shell, KnownNames().get))


def _matcher(shell: InteractiveShell, names: Callable[[], list[str]]) -> Any:
    @context_matcher(identifier="ollama_nb")
    def matcher(context: CompletionContext) -> Result:
        text = context.text_until_cursor
        if found := _LINE.fullmatch(text):
            begun, before = found["begun"], found["before"].split()
            proposed = _on_a_line(shell, found["magic"], before, begun, names)
            return _result(proposed, begun)
        if context.cursor_line and context.full_text.lstrip().startswith("%%modelfile"):
            return _in_a_modelfile(text, names)
        return _NONE

    matcher.is_of_ollama_nb = True
    return matcher


def _on_a_line(
    shell: InteractiveShell,
    magic: str,
    before: list[str],
    begun: str,
    names: Callable[[], list[str]],
) -> Iterable[str]:
    """Return what may stand where the begun word stands."""
    last = before[-1] if before else ""
    if last in ("-m", "--model", "--from"):
        paths = likely_files(begun) if last == "--from" else []
        before_it, comma, _ = begun.rpartition(",")  # several: %%compare -m one,another
        return [*(f"{before_it}{comma}{name}" for name in names()), *paths]
    if last == "--schema":
        return schemas_among(shell.user_ns)
    if last == "--image":
        return likely_pictures(begun, shell.user_ns)
    if last == "--format":
        return FORMATS
    if last in ("-q", "--quantize"):
        return QUANTIZATIONS
    if last in ("-o", "--option"):
        return [f"{name}=" for name in OPTIONS]
    if magic != "ollama":
        return _options_of(shell, magic) if begun.startswith("-") else ()
    return _of_ollama(before, begun, names)


def _of_ollama(before: list[str], begun: str, names: Callable[[], list[str]]) -> Iterable[str]:
    if not before:
        return SUBCOMMANDS
    subcommand = SUBCOMMANDS.get(before[0])
    if before[-1] in ("-f", "--file"):
        return likely_files(begun)
    if subcommand is None or before[-1] == "--token":
        return ()
    if begun.startswith("-"):
        return [f"--{'from' if name == 'source' else name}" for name in subcommand.options]
    return names() if subcommand.names_models else ()


def _options_of(shell: InteractiveShell, magic: str) -> Iterable[str]:
    found = shell.find_line_magic(magic) or shell.find_cell_magic(magic)
    return [word for word in found.parser._option_string_actions if word.startswith("--")]


def _in_a_modelfile(text: str, names: Callable[[], list[str]]) -> Result:
    """Complete a command's word, or the value after FROM, PARAMETER, MESSAGE."""
    if found := _FIRST_WORD.fullmatch(text):
        begun = found["begun"]
        values: dict[str, Callable[[], Iterable[str]]] = {
            "from": names,
            "parameter": lambda: sorted(PARAMETERS),
            "message": lambda: ROLES,
        }
        if propose := values.get(found["word"].lower()):
            return _result(propose(), begun)
        return _NONE
    return _result([word.upper() for word in COMMANDS], text.lstrip())


def _result(proposed: Iterable[str], begun: str) -> Result:
    """Propose the words that go on as begun; then nobody else's proposals are wanted."""
    fitting = [word for word in proposed if word.lower().startswith(begun.lower())]
    return {
        "completions": [SimpleCompletion(text=word, type="model") for word in fitting],
        "matched_fragment": begun,
        "suppress": bool(fitting),
        "ordered": True,
    }
