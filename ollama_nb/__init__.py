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

    from ollama_nb.answers.generation import Generation
    from ollama_nb.answers.statistics import stats
    from ollama_nb.asking.chatting import Conversation, chat
    from ollama_nb.asking.comparing import compare
    from ollama_nb.asking.embedding import embed
    from ollama_nb.asking.generating import generate
    from ollama_nb.asking.measuring import bench
    from ollama_nb.asking.scoring import score
    from ollama_nb.asking.templating import render
    from ollama_nb.connection.connection import Connection
    from ollama_nb.connection.current import connect
    from ollama_nb.connection.preferences import settings
    from ollama_nb.errors import (
        AnswerCut,
        AnswerFailed,
        BadChoices,
        BadMessage,
        BadModelfile,
        BadPurpose,
        BadRepeats,
        BadSchema,
        BadTemplate,
        BadThinking,
        BadValue,
        CacheWarning,
        Interrupted,
        MagicUsage,
        MissingPackage,
        ModelNotFound,
        NoAccounts,
        NoModels,
        NoPrompt,
        NoServer,
        NoSuchModelFile,
        NotAllowed,
        NotAPicture,
        NotATable,
        NotDone,
        NotFitting,
        NotJson,
        NotText,
        OllamaNbError,
        QuotaSpent,
        ServerNotReady,
        ServerRefused,
        ServerWarning,
        ServerWentAway,
        Stopped,
        TooManyRounds,
        TransferStopped,
        UnfitModelFile,
        UnknownOption,
    )
    from ollama_nb.frames.embedder import Embedder
    from ollama_nb.frames.errors import (
        BadColumns,
        NoChatModel,
        NoColumn,
        NoProbabilities,
        NoTokenCounts,
        RowsFailed,
        UnknownColumn,
    )
    from ollama_nb.managing.accounts import usage
    from ollama_nb.managing.card import ModelCard
    from ollama_nb.managing.catalogue import copy, cp, models, ps, remove, rm, stop
    from ollama_nb.managing.creating import create
    from ollama_nb.managing.describing import show
    from ollama_nb.managing.transfers import pull, push
    from ollama_nb.tools.errors import (
        BadTool,
        CallRefused,
        NobodyToAsk,
        UnknownTool,
        WrongArguments,
    )
    from ollama_nb.widgets.chat import Chat

# Public name -> the module that defines it.
_HOMES = {
    "AnswerCut": "errors",
    "AnswerFailed": "errors",
    "BadChoices": "errors",
    "BadColumns": "frames.errors",
    "BadMessage": "errors",
    "BadModelfile": "errors",
    "BadPurpose": "errors",
    "BadRepeats": "errors",
    "BadSchema": "errors",
    "BadTemplate": "errors",
    "BadThinking": "errors",
    "BadTool": "tools.errors",
    "BadValue": "errors",
    "CacheWarning": "errors",
    "CallRefused": "tools.errors",
    "Chat": "widgets.chat",
    "Connection": "connection.connection",
    "Conversation": "asking.chatting",
    "Embedder": "frames.embedder",
    "Generation": "answers.generation",
    "Interrupted": "errors",
    "MagicUsage": "errors",
    "MissingPackage": "errors",
    "ModelCard": "managing.card",
    "ModelNotFound": "errors",
    "NoAccounts": "errors",
    "NoChatModel": "frames.errors",
    "NoColumn": "frames.errors",
    "NoModels": "errors",
    "NoProbabilities": "frames.errors",
    "NoPrompt": "errors",
    "NoServer": "errors",
    "NoSuchModelFile": "errors",
    "NoTokenCounts": "frames.errors",
    "NobodyToAsk": "tools.errors",
    "NotAPicture": "errors",
    "NotATable": "errors",
    "NotDone": "errors",
    "NotFitting": "errors",
    "NotJson": "errors",
    "NotText": "errors",
    "OllamaNbError": "errors",
    "QuotaSpent": "errors",
    "RowsFailed": "frames.errors",
    "NotAllowed": "errors",
    "ServerNotReady": "errors",
    "ServerRefused": "errors",
    "ServerWarning": "errors",
    "ServerWentAway": "errors",
    "Stopped": "errors",
    "TooManyRounds": "errors",
    "TransferStopped": "errors",
    "UnfitModelFile": "errors",
    "UnknownColumn": "frames.errors",
    "UnknownOption": "errors",
    "UnknownTool": "tools.errors",
    "WrongArguments": "tools.errors",
    "bench": "asking.measuring",
    "chat": "asking.chatting",
    "compare": "asking.comparing",
    "connect": "connection.current",
    "copy": "managing.catalogue",
    "cp": "managing.catalogue",
    "create": "managing.creating",
    "embed": "asking.embedding",
    "generate": "asking.generating",
    "models": "managing.catalogue",
    "ps": "managing.catalogue",
    "pull": "managing.transfers",
    "push": "managing.transfers",
    "remove": "managing.catalogue",
    "render": "asking.templating",
    "rm": "managing.catalogue",
    "score": "asking.scoring",
    "settings": "connection.preferences",
    "show": "managing.describing",
    "stats": "answers.statistics",
    "stop": "managing.catalogue",
    "usage": "managing.accounts",
}

__all__ = [
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
    from ollama_nb.magics import columns
    from ollama_nb.magics.asking import AskingMagics
    from ollama_nb.magics.completing import complete_names
    from ollama_nb.magics.figures import FiguresMagics
    from ollama_nb.magics.managing import ManagingMagics
    from ollama_nb.magics.questions import protect_questions

    asking = AskingMagics(shell)
    shell.register_magics(asking, FiguresMagics(shell, asking), ManagingMagics)
    complete_names(shell)
    columns.announce()
    if protect_questions not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.append(protect_questions)
