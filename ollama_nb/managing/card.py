"""`ModelCard`: the facts about one model; a table in a notebook, a mapping for programs.

Where the facts come from is `describing`'s business.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ollama_nb.sizes import in_words

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

LONGEST_LINE = 100
CELL = "text-align:left;vertical-align:top;padding:2px 1em 2px 0"
HEAD = f"{CELL};font-weight:normal;color:var(--jp-ui-font-color2,#666)"
TEXT = "white-space:pre-wrap;margin:0.3em 0"
# The texts of a model that can be read alone: `%ollama show NAME --system`.
PARTS = ("modelfile", "template", "system", "license", "parameters")


@dataclass(frozen=True, repr=False)
class ModelCard(Mapping[str, Any]):
    """What a server knows about a model; None or empty is what it does not tell.

    It is also a mapping: of these names, and of the keys of `info`.

    Attributes
    ----------
    template_kind : str or None
        "Jinja" (the GGUF file's own) or "Go" (a Modelfile's).
    projector : str or None
        Architecture of the part that turns images into tokens.
    adapters : tuple of str
        LoRA files, as the Modelfile names them.
    notes : tuple of str
        What the server has to say besides, such as that a model is in an older dialect.
    modified_at : datetime or None
        When it was made or pulled, in local time.
    info : dict
        The metadata of the weights, by GGUF's names.
    """

    name: str
    capabilities: tuple[str, ...] = ()
    architecture: str | None = None
    size_bytes: int | None = None
    parameter_size: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    embedding_length: int | None = None
    template: str | None = None
    system: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[Mapping[str, str], ...] = ()
    license: str | None = None
    adapters: tuple[str, ...] = ()
    projector: str | None = None
    requires: str | None = None
    parent: str | None = None
    digest: str | None = None
    modified_at: datetime | None = None
    modelfile: str = ""
    notes: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

    __hash__ = None  # type: ignore[assignment]  # as of any mapping

    @property
    def template_kind(self) -> str | None:
        """Which language the template is written in."""
        if self.template is None:
            return None
        return "Jinja" if "{%" in self.template else "Go"

    def part(self, name: str) -> str | None:
        """Return one of the texts `PARTS`, as a Modelfile would have it; None if there is none."""
        if name == "parameters":
            lines = [f"{key} {value}" for key, value in self._settings()]
            return "\n".join(lines) or None
        return getattr(self, name) or None

    def to_series(self) -> pd.Series:
        """Return the facts that are known, a row a fact."""
        import pandas as pd

        told = {key: self[key] for key in self if self[key] not in (None, "", (), {})}
        series: pd.Series = pd.Series(told, name=self.name, dtype=object)
        return series

    def __getitem__(self, key: str) -> Any:
        if key in self._names():
            return getattr(self, key)
        return self.info[key]

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in self._names() if name != "info")
        yield from self.info

    def __len__(self) -> int:
        return len(list(iter(self)))

    @classmethod
    def _names(cls) -> list[str]:
        return [*(one.name for one in fields(cls)), "template_kind"]

    def _settings(self) -> list[tuple[str, Any]]:
        return [
            (key, item)
            for key, value in self.parameters.items()
            for item in (value if isinstance(value, list) else [value])
        ]

    def _facts(self) -> list[tuple[str, str]]:
        """Return what is short enough for a line, in the order of the table."""
        size = None if self.size_bytes is None else in_words(self.size_bytes)
        count = f"{self.parameter_count:,}" if self.parameter_count else None
        parameters = f"{self.parameter_size} ({count})" if count else self.parameter_size
        facts: list[tuple[str, str | None]] = [
            ("capabilities", ", ".join(self.capabilities)),
            ("architecture", self.architecture),
            ("size", size),
            ("parameters", parameters),
            ("quantization", self.quantization),
            ("context length", _number(self.context_length, "tokens")),
            ("embedding length", _number(self.embedding_length)),
            ("made from", self.parent),
            ("adapters", ", ".join(self.adapters)),
            ("projector", self.projector),
            ("needs at least", self.requires and f"version {self.requires}"),
            ("settings", ", ".join(f"{key} {value!r}" for key, value in self._settings())),
            ("license", self.license and self.license.strip().splitlines()[0]),
            ("note", " ".join(self.notes)),
        ]
        return [(label, fact) for label, fact in facts if fact]

    def _texts(self) -> list[tuple[str, str]]:
        """Return what is shown on several lines."""
        said = "\n".join(f"{one.get('role')}: {one.get('content')}" for one in self.messages)
        texts = [
            ("system", self.system),
            (f"template ({self.template_kind})", self.template),
            ("messages", said),
        ]
        return [(label, text) for label, text in texts if text]

    def __repr__(self) -> str:
        rows = [*self._facts(), *((label, _one_line(text)) for label, text in self._texts())]
        width = max((len(label) for label, _ in rows), default=0)
        lines = [f"  {label:<{width}}  {fact}" for label, fact in rows]
        return "\n".join([self.name, *lines])

    def _repr_html_(self) -> str:
        rows = [_row(label, html.escape(fact)) for label, fact in self._facts()]
        rows += [_row(label, _folded(text)) for label, text in self._texts()]
        head = f"<strong>{html.escape(self.name)}</strong>"
        return f'<div>{head}<table style="border:none;margin:0.3em 0">{"".join(rows)}</table></div>'


def _number(number: int | None, unit: str = "") -> str | None:
    return None if number is None else f"{number:,} {unit}".strip()


def _row(label: str, fact: str) -> str:
    cells = f'<th style="{HEAD}">{html.escape(label)}</th><td style="{CELL}">{fact}</td>'
    return f"<tr>{cells}</tr>"


def _folded(text: str) -> str:
    """Show a short text as it is, of a long one the first line, with the rest behind it."""
    whole = f'<pre style="{TEXT}">{html.escape(text)}</pre>'
    if text == _one_line(text):
        return html.escape(text)
    return (
        f"<details><summary><code>{html.escape(_one_line(text))}</code></summary>{whole}</details>"
    )


def _one_line(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else ""
    is_all = first == text and len(first) <= LONGEST_LINE
    return first if is_all else f"{first[: LONGEST_LINE - 1].rstrip()}…"
