"""The copy of a chat that stays in the notebook: an output of the cell for each turn that is over.

What it looks like is in `transcript`, how an output comes into its cell in `cell_outputs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.widgets.cell_outputs import CellOutputs
from ollama_nb.widgets.transcript import forgotten, heading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ollama_nb.widgets.transcript import Exchange

VIEW = "application/vnd.jupyter.widget-view+json"


class Copies:
    """The turns of one chat as outputs, by the numbers of the turns.

    Parameters
    ----------
    talk
        The name of the chat by which a page finds the copy of its turns in a notebook.
    """

    def __init__(self, talk: str) -> None:
        self._talk = talk
        self._exchanges: dict[int, Exchange] = {}
        self._outputs: CellOutputs | None = None
        self._ids: dict[int, str] = {}  # of the outputs

    def show(self, model_id: str) -> None:
        """Show the widget of that id in the running cell, and the turns so far below it."""
        self._outputs, self._ids = CellOutputs(), {}
        view = {"version_major": 2, "version_minor": 0, "model_id": model_id}
        self._outputs.add(heading(), self._mark(None))
        nothing = {"text/html": "", "text/plain": ""}  # for readers of files, who see the copy
        self._outputs.add({VIEW: view, **nothing}, self._mark(None))
        for number in self._exchanges:
            self._save(number)

    def add(self, number: int, exchange: Exchange) -> None:
        """Take a turn that is over; where the chat is shown, the cell gets it as an output."""
        self._exchanges[number] = exchange
        self._save(number)

    def of(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Return turns as a notebook has outputs; one that was forgotten is left out."""
        return [self._output(number) for number in numbers if number in self._exchanges]

    def forget(self) -> None:
        """Empty the outputs and forget the turns."""
        for number, display_id in self._ids.items():
            if self._outputs is not None:
                self._outputs.replace(display_id, forgotten(), self._mark(number))
        self._exchanges, self._ids = {}, {}

    def _save(self, number: int) -> None:
        if self._outputs is not None:
            output = self._output(number)
            self._ids[number] = self._outputs.add(output["data"], output["metadata"])

    def _output(self, number: int) -> dict[str, Any]:
        data = self._exchanges[number].copy()
        return {"output_type": "display_data", "data": data, "metadata": self._mark(number)}

    def _mark(self, number: int | None) -> dict[str, Any]:
        return {"ollama_nb": {"talk": self._talk, "turn": number}}
