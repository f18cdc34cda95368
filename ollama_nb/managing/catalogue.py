"""The models of the server: which there are, which are loaded, which is meant; copy and remove.

Plain functions behind `%ollama`; `describing` tells more of one model, `asking` uses
`default_model`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.calling import asked, once_more, reachable
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.connection.preferences import settings
from ollama_nb.errors import NotText
from ollama_nb.managing.memory import memory_columns
from ollama_nb.sizes import in_megabytes
from ollama_nb.times import local_zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

BUNDLED = "demo"


def default_model(wanted: str | None = None, *, can: str | None = "completion") -> str:
    """Return the model that a call means.

    In this order: the one it names, `settings.model` (`%ollama use`), the variable
    OLLAMA_NB_MODEL, one that is loaded, the newest of the server, the bundled `demo`. A model that
    was deleted while it was loaded is none of the server's any more; one that the server says may
    not be used now (in an exam) comes last.

    Parameters
    ----------
    wanted
        What the call names.
    can
        The capability that a loaded or newest model must not lack, where the server tells; None
        asks for none. For `embedding`, models that have it come before all others, which can be
        made to embed.
    """
    named = wanted or settings.model or os.environ.get("OLLAMA_NB_MODEL")
    return named or next(_candidates(can), BUNDLED)


def _candidates(can: str | None) -> Iterator[str]:
    """Yield the server's models that a call may mean, the best first."""
    entries = listed("tags")
    stored = {_label(entry): entry.get("capabilities") for entry in entries}
    closed = {_label(entry) for entry in entries if (entry.get("nb") or {}).get("closed")}
    # Both listings come sorted: the last to be unloaded first, the newest first.
    loaded = [name for entry in listed("ps") if (name := _label(entry)) in stored]
    ordered = sorted(dict.fromkeys([*loaded, *stored]), key=closed.__contains__)
    if can == "embedding":
        yield from (name for name in ordered if "embedding" in (stored[name] or ()))
        yield from ordered
    else:
        yield from (name for name in ordered if can is None or can in (stored[name] or [can]))


def names() -> list[str]:
    """Return the names of the models that the server has."""
    return [str(entry.get("name") or entry.get("model")) for entry in listed("tags")]


def models() -> pd.DataFrame:
    """Return the server's models, one row a model, newest first (`%ollama list`).

    Returns
    -------
    pandas.DataFrame
        Index `model`; columns `size_mb` (its files), `family`, `parameters`, `quantization`,
        `context_length` (the longest), `capabilities` (`completion, tools`), `modified_at` (local
        time) and `memory_mb`, which is what it takes now if it is loaded: NA if it is not, and
        `ps()` says for what. What the server does not tell is missing (NA).
    """
    import pandas as pd

    entries = listed("tags")
    frame = _frame(entries)
    details = [entry.get("details") or {} for entry in entries]
    abilities = [entry.get("capabilities") for entry in entries]
    taken = {_label(entry): in_megabytes(entry.get("size")) for entry in listed("ps")}
    frame["context_length"] = pd.array([of.get("context_length") for of in details], dtype="Int64")
    frame["capabilities"] = pd.array(
        [", ".join(found) if found else None for found in abilities], dtype="string"
    )
    frame["modified_at"] = _moments(entries, "modified_at", frame.index)
    frame["memory_mb"] = pd.array([taken.get(name) for name in frame.index], dtype="Float64")
    return frame


def ps() -> pd.DataFrame:
    """Return the models that are loaded now, one row a model (`%ollama ps`).

    Returns
    -------
    pandas.DataFrame
        Index `model`. `size_mb` is all that it takes: `weights_mb` + `slots` x `slot_mb` +
        `buffers_mb`. A slot holds the context of one request; more are made, up to `max_slots`,
        when requests wait for one. Of the slots `live_slots` are answering, and `idle_slots` keep
        what was computed, for a prompt that begins alike. `prefixes_mb` are copies of such, in
        memory beside all that. `gpu_mb` is the part on GPUs. Then `family`, `parameters`,
        `quantization`, `context_length` (of a slot, in tokens) and `expires_at` (local time; the
        year 2300 and later stands for never: NaT). Of the slots and the rest only ollama_nb's own
        server tells; otherwise they are missing (NA).
    """
    import pandas as pd

    entries = listed("ps")
    frame = _frame(entries)
    lengths = [entry.get("context_length") for entry in entries]
    on_gpu = [in_megabytes(entry.get("size_vram")) for entry in entries]
    columns = memory_columns(entries) | {"gpu_mb": pd.array(on_gpu, dtype="Float64")}
    for place, (name, values) in enumerate(columns.items(), start=1):
        frame.insert(place, name, values)
    frame["context_length"] = pd.array(lengths, dtype="Int64")
    frame["expires_at"] = _moments(entries, "expires_at", frame.index)
    return frame


def _frame(entries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    details = [entry.get("details") or {} for entry in entries]
    facts = {
        "family": "family",
        "parameters": "parameter_size",
        "quantization": "quantization_level",
    }
    columns = {
        name: pd.array([of.get(key) for of in details], dtype="string")
        for name, key in facts.items()
    }
    sizes = pd.array([in_megabytes(entry.get("size")) or 0.0 for entry in entries], dtype="float64")
    index = pd.Index([_label(entry) for entry in entries], name="model", dtype="string")
    frame: pd.DataFrame = pd.DataFrame({"size_mb": sizes, **columns}, index=index)
    return frame


def _label(entry: Mapping[str, Any]) -> str:
    return str(entry.get("name") or entry.get("model"))


def _moments(entries: Sequence[Mapping[str, Any]], key: str, index: pd.Index) -> pd.Series:
    """Return moments in local time; one that pandas cannot hold is missing."""
    import pandas as pd

    told = pd.Series([entry.get(key) for entry in entries], index=index, dtype=object)
    moments = pd.to_datetime(told, utc=True, format="ISO8601", errors="coerce")
    return moments.dt.tz_convert(local_zone())


def stop(model: str | None = None) -> str:
    """Unload a model from memory and return its name (`%ollama stop`).

    Raises
    ------
    ModelNotFound
        If the server does not have it.
    """
    name = default_model(model, can=None)
    connection = current()
    with translated(connection, name):
        asked(connection, "/api/generate", {"model": name, "keep_alive": 0, "stream": False})
    return name


def copy(source: str, destination: str) -> None:
    """Give a model a second name; nothing is stored twice (`%ollama cp`).

    Raises
    ------
    ModelNotFound
        If the server does not have the source.
    NotDone
        If a name cannot be one.
    """
    checked_name(destination)
    connection = reachable()
    with translated(connection, checked_name(source), "copying"):
        asked(connection, "/api/copy", {"source": source, "destination": destination})


def remove(*names: str) -> None:
    """Remove models from the server, with what only they use (`%ollama rm`).

    Raises
    ------
    ModelNotFound
        If the server does not have one; those before it are removed.
    """
    for name in names:
        checked_name(name)
    connection = reachable()
    for name in names:
        with translated(connection, name, "removing"):
            asked(connection, "/api/delete", {"model": name}, method="DELETE")


cp, rm = copy, remove  # as the command line and `%ollama` call them


def checked_name(name: str) -> str:
    """Return the name of a model, which must be text; whether it can be a name, the server says.

    Raises
    ------
    NotText
    """
    if not isinstance(name, str):
        raise NotText("the name of the model", name)
    return name


def listed(route: str) -> list[dict[str, Any]]:
    """Fetch a listing; a server that died since the last call is looked for once more."""
    return once_more(lambda: _listed_once(route))


def _listed_once(route: str) -> list[dict[str, Any]]:
    connection = current()
    with translated(connection, "the list of models", "reading"):
        return connection.listed(route)
