"""What a user may set once for all calls of a notebook.

Values only: who reads them decides what they mean (`catalogue` the model, `display` the rest).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    """The settings of this kernel, as `ollama_nb.settings`.

    Parameters
    ----------
    model
        The model that calls use when they name none; `%ollama use NAME` sets it.
    live
        True streams into the cell, False shows an answer once it is whole, None (the default)
        streams where a person is watching and not where a notebook is executed by a program.

    Examples
    --------
    >>> import ollama_nb
    >>> ollama_nb.settings.model = "demo"
    """

    model: str | None = None
    live: bool | None = None


settings = Settings()
