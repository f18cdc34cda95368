"""The names of the model options, and `name=value` as a magic's `-o` takes them.

What an option does, and whether its value is right, is the server's business.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.bodies import plain
from ollama_nb.errors import MagicUsage, UnknownOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Ollama's documentation (docs/modelfile.md, docs/api.md), runtime options before load options.
KNOWN = (
    "num_predict",
    "num_keep",
    "seed",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "repeat_last_n",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "penalize_newline",
    "stop",
    "tfs_z",
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "use_mmap",
    "use_mlock",
    "num_thread",
    "numa",
    "low_vram",
    "draft_num_predict",
    "grammar",  # of the servers that take a GBNF grammar, as ours does; Ollama has none
)


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as a dict that is safe to send.

    A name that is nearly one of Ollama's is refused, because a server would accept and ignore it;
    any other unknown name is passed on, since it may be an option of another server. A single
    `stop` string becomes a list, which is the only form that Ollama takes.

    Raises
    ------
    UnknownOption
        For a misspelt name.
    BadValue
        For nan and the like.
    """
    for name in options:
        _refuse_misspelt(name)
    result = {name: plain(value, f"the option {name}") for name, value in options.items()}
    if isinstance(result.get("stop"), str):
        result["stop"] = [result["stop"]]
    return result


def _refuse_misspelt(name: str) -> None:
    if name in KNOWN:
        return
    if near := difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.75):
        raise UnknownOption(name, near[0])


def parse_pairs(pairs: Iterable[str]) -> dict[str, Any]:
    """Turn `["seed=7", "stop=END"]` into typed options; a repeated `stop` collects.

    Raises
    ------
    MagicUsage
        For a piece without `=`.

    Examples
    --------
    >>> parse_pairs(["seed=7", "top_p=0.5", "stop=END", "stop=###"])
    {'seed': 7, 'top_p': 0.5, 'stop': ['END', '###']}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise MagicUsage(f"-o takes name=value, not {pair!r}")
        if name == "stop":
            options.setdefault("stop", []).extend(_stop_strings(value))
        else:
            options[name] = _typed(value)
    return options


def _stop_strings(value: str) -> list[str]:
    typed = _typed(value)
    return typed if isinstance(typed, list) else [value]


def _typed(value: str) -> Any:
    """Read a value as JSON where it is JSON (1, 0.5, true, [...]), else as text."""
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
