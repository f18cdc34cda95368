"""The chat template of a folder, wherever it lies."""

from __future__ import annotations

from typing import Any

from ollama_nb_server.library.convert.folder import Folder

DEFAULT = "default"


def chat_template(folder: Folder) -> str:
    """The Jinja text; nothing if there is none.

    A list of templates is one for each purpose: the one for plain conversations is taken.
    """
    for found in (
        folder.object("tokenizer_config.json").get("chat_template"),
        folder.text("chat_template.jinja") if folder.has("chat_template.jinja") else None,
        folder.object("chat_template.json").get("chat_template"),
    ):
        if text := _text(found):
            return text
    return ""


def _text(found: Any) -> str:
    if isinstance(found, str):
        return found
    named = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    texts = [entry.get("template") for entry in named if entry.get("name") == DEFAULT]
    return next((text for text in texts if isinstance(text, str)), "")
