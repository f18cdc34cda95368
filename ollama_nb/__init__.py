"""Local language models in notebooks: magics, widgets and DataFrames over Ollama's REST API.

`%load_ext ollama_nb` brings the magics. Names are imported when they are first used, so that
`import ollama_nb` stays light; what there is to use is listed here and nowhere else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ollama_nb._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ollama_nb.answers import Generation
    from ollama_nb.card import ModelCard
    from ollama_nb.catalogue import copy, models, ps, remove
    from ollama_nb.chatting import Conversation, chat
    from ollama_nb.connection import Connection, connect
    from ollama_nb.creating import create
    from ollama_nb.describing import show
    from ollama_nb.embedding import embed
    from ollama_nb.errors import Interrupted, OllamaNbError, TransferStopped
    from ollama_nb.generating import generate
    from ollama_nb.preferences import settings
    from ollama_nb.statistics import stats
    from ollama_nb.transfers import pull, push
    from ollama_nb.widgets.chat import Chat

# Public name -> the module that defines it.
_HOMES = {
    "Chat": "widgets.chat",
    "Connection": "connection",
    "Conversation": "chatting",
    "Generation": "answers",
    "Interrupted": "errors",
    "ModelCard": "card",
    "OllamaNbError": "errors",
    "TransferStopped": "errors",
    "chat": "chatting",
    "connect": "connection",
    "copy": "catalogue",
    "create": "creating",
    "embed": "embedding",
    "generate": "generating",
    "models": "catalogue",
    "ps": "catalogue",
    "pull": "transfers",
    "push": "transfers",
    "remove": "catalogue",
    "settings": "preferences",
    "show": "describing",
    "stats": "statistics",
}

__all__ = [
    "Chat",
    "Connection",
    "Conversation",
    "Generation",
    "Interrupted",
    "ModelCard",
    "OllamaNbError",
    "TransferStopped",
    "__version__",
    "chat",
    "connect",
    "copy",
    "create",
    "embed",
    "generate",
    "load_ipython_extension",
    "models",
    "ps",
    "pull",
    "push",
    "remove",
    "settings",
    "show",
    "stats",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ollama_nb' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"ollama_nb.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; IPython calls this for `%load_ext ollama_nb`."""
    from ollama_nb.magics.asking import AskingMagics
    from ollama_nb.magics.completing import complete_names
    from ollama_nb.magics.managing import ManagingMagics
    from ollama_nb.magics.questions import protect_questions

    shell.register_magics(AskingMagics, ManagingMagics)
    complete_names(shell)
    if protect_questions not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.append(protect_questions)
