"""`show()`: what the server knows about a model, as data that renders well.

How it is asked is here; how it looks is in `card`.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.calling import asked, reachable
from ollama_nb.connection.failures import translated
from ollama_nb.errors import BadModelfile
from ollama_nb.managing.card import ModelCard
from ollama_nb.managing.catalogue import checked_name, default_model, listed
from ollama_nb.managing.modelfile import Modelfile, parse
from ollama_nb.times import in_local_time

if TYPE_CHECKING:
    from collections.abc import Mapping


def show(model: str | None = None) -> ModelCard:
    """Return what the server knows about a model (`%ollama show`).

    Parameters
    ----------
    model
        Default: the model that calls mean when they name none.

    Returns
    -------
    ModelCard
        A table in a notebook, and data otherwise: `card.context_length`,
        `card["capabilities"]`, `card["llama.block_count"]`.

    Raises
    ------
    ModelNotFound
        If the server does not have it.

    Examples
    --------
    >>> show("demo").quantization  # doctest: +SKIP
    'Q8_0'
    """
    name = checked_name(default_model(model))
    connection = reachable()
    with translated(connection, name, "showing"):
        answer = asked(connection, "/api/show", {"model": name, "name": name})
    notes = tuple(connection.warnings)  # before the next answer brings its own
    return card(name, answer, _entry(name), notes)


def _entry(name: str) -> dict[str, Any]:
    """Return the model's entry in the list, which knows its size and digest."""
    wanted = {name.casefold(), f"{name}:latest".casefold()}
    for entry in listed("tags"):
        if str(entry.get("name") or entry.get("model")).casefold() in wanted:
            return entry
    return {}


def card(
    name: str,
    answer: Mapping[str, Any],
    entry: Mapping[str, Any],
    notes: tuple[str, ...] = (),
) -> ModelCard:
    """Put the server's answers together; what it does not tell is None or empty."""
    info = answer.get("model_info") or {}
    details = answer.get("details") or {}
    architecture = info.get("general.architecture") or details.get("family") or None
    written = _written(answer.get("modelfile") or "")
    return ModelCard(
        name=str(entry.get("name") or entry.get("model") or name),
        notes=notes,
        capabilities=tuple(answer.get("capabilities") or ()),
        architecture=architecture,
        size_bytes=entry.get("size"),
        parameter_size=details.get("parameter_size") or None,
        parameter_count=info.get("general.parameter_count"),
        quantization=details.get("quantization_level") or None,
        context_length=info.get(f"{architecture}.context_length"),
        embedding_length=info.get(f"{architecture}.embedding_length"),
        template=answer.get("template") or None,
        system=answer.get("system") or None,
        parameters=_parameters(answer.get("parameters") or ""),
        messages=tuple(answer.get("messages") or ()),
        license=answer.get("license") or None,
        adapters=tuple(written.adapters),
        projector=(answer.get("projector_info") or {}).get("general.architecture"),
        requires=answer.get("requires") or None,
        parent=details.get("parent_model") or None,
        digest=entry.get("digest"),
        modified_at=in_local_time(entry.get("modified_at") or answer.get("modified_at")),
        modelfile=answer.get("modelfile") or "",
        info=dict(info),
    )


def _written(modelfile: str) -> Modelfile:
    """Read the printed Modelfile; one with quotes that do not survive printing tells nothing."""
    with contextlib.suppress(BadModelfile):
        return parse(modelfile)
    return Modelfile()


def _parameters(lines: str) -> dict[str, Any]:
    """Read the lines of the answer: a name, blanks, a value as Go writes it; `stop` collects.

    >>> _parameters('num_ctx 4096' + chr(10) + 'stop "<|end|>"')
    {'num_ctx': 4096, 'stop': ['<|end|>']}
    """
    found: dict[str, Any] = {}
    for line in lines.splitlines():
        name, _, text = line.partition(" ")
        if name == "stop":
            found.setdefault("stop", []).append(_value(text.strip()))
        elif name:
            found[name] = _value(text.strip())
    return found


def _value(text: str) -> Any:
    """Go writes numbers and truths, and most texts, as JSON does."""
    with contextlib.suppress(json.JSONDecodeError):
        return json.loads(text)
    return text
