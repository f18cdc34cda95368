"""What can be wrong with a verb's arguments, in words for the person at the notebook.

OllamaNbError
|-- UnknownColumn       a template or an argument names a column that there is not
|-- NoColumn            a template that names no column, and so asks every row the same
|-- BadColumns          names, counts or limits that do not fit the frame
|-- NoChatModel         nobody there writes the names of groups
|-- NoTokenCounts       a server that does not count tokens
`-- NoProbabilities     a server that does not tell how likely answers are
RowsFailed              some rows have no answer; the others do (a warning)
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ollama_nb.errors import OllamaNbError

if TYPE_CHECKING:
    from collections.abc import Sequence


class UnknownColumn(OllamaNbError, KeyError):
    """A name that is none of the columns'."""

    def __init__(self, name: str, there: Sequence[str]) -> None:
        self.name = name
        self.there = tuple(there)
        near = difflib.get_close_matches(name, self.there, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        self._sentence = f"there is no column {name!r}{meant} There are {', '.join(there)}"
        if not near:
            self._sentence = self._sentence.replace(f"{name!r} There", f"{name!r}. There")
        super().__init__(self._sentence)

    def __str__(self) -> str:
        return self._sentence  # a KeyError shows the repr of its argument


class NoColumn(OllamaNbError, ValueError):
    """A template without a column."""

    def __init__(self, there: Sequence[str]) -> None:
        names = ", ".join(f"{{{{ {name} }}}}" for name in there)
        super().__init__(
            "the template names no column, so every row would be asked the same; the columns "
            f"are {names}"
        )


class BadColumns(OllamaNbError, ValueError):
    """Names, counts or limits that do not fit the frame."""


class NoChatModel(OllamaNbError):
    """Names of groups are wanted, and there is no model that writes text."""

    def __init__(self, model: str | None = None) -> None:
        self.model = model
        why = f"{model} writes no text" if model else "the server has none"
        super().__init__(
            f"names of groups are written by a model that chats, and {why}: name one, model=..., "
            "pull one (%ollama pull qwen2.5:1.5b), or leave label out"
        )


class NoTokenCounts(OllamaNbError):
    """A server without a way to count tokens."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url} does not count tokens: ollama_nb's own server does (ollama-nb serve, or the "
            "extension of a Jupyter server)"
        )


class NoProbabilities(OllamaNbError):
    """A server that does not tell how likely answers are."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url} does not tell how likely a label is, which abstain needs: ollama_nb's own "
            "server does; leave abstain out"
        )


class RowsFailed(UserWarning):
    """Some rows have no answer, and why the first of them has none."""
