"""Outputs of the cell that a chat was displayed in, added when its turns are over.

By then another cell may run, or none: what is displayed from a click in a widget belongs to no
cell at all, so the message names the cell itself.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ollama_nb.display.cell import running_shell

if TYPE_CHECKING:
    from collections.abc import Mapping


class CellOutputs:
    """Adds outputs to the cell that runs when this is made, from any thread, at any time."""

    def __init__(self) -> None:
        shell = running_shell()
        self._publisher = shell.display_pub
        self._parent = shell.get_parent()

    def add(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
        """Add an output, and return the id by which it can be replaced."""
        display_id = uuid.uuid4().hex
        self._send("display_data", data, metadata, display_id)
        return display_id

    def replace(
        self, display_id: str, data: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> None:
        """Put something else into the place of an output."""
        self._send("update_display_data", data, metadata, display_id)

    def _send(
        self, kind: str, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str
    ) -> None:
        if not hasattr(self._publisher, "pub_socket"):  # the cell captures what is displayed
            self._capture(data, metadata)
            return
        content = {"data": data, "metadata": metadata, "transient": {"display_id": display_id}}
        publisher = self._publisher
        publisher.session.send(
            publisher.pub_socket, kind, content, parent=self._parent, ident=publisher.topic
        )

    def _capture(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        self._publisher.publish(data=data, metadata=metadata)
