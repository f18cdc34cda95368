"""The models of the server: which there are, which are loaded, which is meant; copy and remove.

Plain functions behind `%ollama`; `describing` tells more of one model, `asking` uses
`default_model`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.calling import reachable
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.connection.preferences import settings
from ollama_nb.errors import NotText, ServerWentAway

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

BUNDLED = "demo"
MIB = 2**20


def default_model(wanted: str | None = None, *, can: str = "completion") -> str:
    """Return the model that a call means.

    In this order: the one it names, `settings.model` (`%ollama use`), the variable
    OLLAMA_NB_MODEL, one that is loaded, the newest of the server, the bundled `demo`.

    Parameters
    ----------
    wanted
        What the call names.
    can
        The capability that a loaded or newest model must not lack, where the server tells.
    """
    named = wanted or settings.model or os.environ.get("OLLAMA_NB_MODEL")
    # Both listings come sorted: the last to be unloaded first, the newest first.
    return named or _first_able("ps", can) or _first_able("tags", can) or BUNDLED


def _first_able(route: str, can: str) -> str | None:
    for entry in listed(route):
        if can in entry.get("capabilities", [can]):
            return str(entry.get("model") or entry.get("name"))
    return None


def names() -> list[str]:
    """Return the names of the models that the server has."""
    return [str(entry.get("name") or entry.get("model")) for entry in listed("tags")]


def models() -> pd.DataFrame:
    """Return the server's models, one row a model, newest first (`%ollama list`).

    Returns
    -------
    pandas.DataFrame
        Index `model`; columns `size_mib`, `family`, `parameters`, `quantization`, `modified_at`
        (UTC). What the server does not tell is missing (NA).
    """
    import pandas as pd

    entries = listed("tags")
    frame = _frame(entries)
    frame["modified_at"] = pd.to_datetime(
        pd.Series([entry.get("modified_at") for entry in entries], index=frame.index, dtype=object),
        utc=True,
        format="ISO8601",
    )
    return frame


def ps() -> pd.DataFrame:
    """Return the models that are loaded now, one row a model (`%ollama ps`).

    Returns
    -------
    pandas.DataFrame
        Index `model`; columns `size_mib`, `family`, `parameters`, `quantization`,
        `context_length` and `expires_at` (UTC; the year 2300 and later stands for never: NaT).
    """
    import pandas as pd

    entries = listed("ps")
    frame = _frame(entries)
    lengths = [entry.get("context_length") for entry in entries]
    frame["context_length"] = pd.array(lengths, dtype="Int64")
    frame["expires_at"] = pd.to_datetime(
        pd.Series([entry.get("expires_at") for entry in entries], index=frame.index, dtype=object),
        utc=True,
        format="ISO8601",
        errors="coerce",
    )
    return frame


def _frame(entries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    details = [entry.get("details") or {} for entry in entries]
    labels = [entry.get("name") or entry.get("model") for entry in entries]
    sizes = [(entry.get("size") or 0) / MIB for entry in entries]
    frame: pd.DataFrame = pd.DataFrame(
        {
            "size_mib": pd.array(sizes, dtype="float64"),
            "family": pd.array([of.get("family") for of in details], dtype="string"),
            "parameters": pd.array([of.get("parameter_size") for of in details], dtype="string"),
            "quantization": pd.array(
                [of.get("quantization_level") for of in details], dtype="string"
            ),
        },
        index=pd.Index(labels, name="model", dtype="string"),
    ).round(1)
    return frame


def stop(model: str | None = None) -> str:
    """Unload a model from memory and return its name (`%ollama stop`).

    Raises
    ------
    ModelNotFound
        If the server does not have it.
    """
    name = default_model(model)
    connection = current()
    with translated(connection, name):
        connection.client.generate(name, keep_alive=0)
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
        connection.client.copy(source, destination)


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
            connection.client.delete(name)


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
    try:
        return _listed_once(route)
    except ServerWentAway:
        return _listed_once(route)


def _listed_once(route: str) -> list[dict[str, Any]]:
    connection = current()
    with translated(connection, "the list of models"):
        return connection.listed(route)
