"""Which cell the code belongs to that runs here, and outputs below that cell.

Front ends put an output where its message says: below the cell whose request is named as the
message's parent. What a kernel names by itself in a thread differs by its version: the cell that
runs now, the one that ran last, or it fails.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_watched = [False]  # whether a person watched when the kernel was last able to say so


def running_shell() -> Any:
    """Return the running IPython, without importing it."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def _request(shell: Any) -> Mapping[str, Any]:
    """Return the message that asked for this code; empty in threads of which nobody knows it."""
    try:
        message: Mapping[str, Any] = shell.get_parent()
    except LookupError:  # ipykernel 7.0, in a thread
        return {}
    return message


def is_watched(shell: Any) -> bool:
    """Tell whether a front end asked for this cell that could ask its user something."""
    content = _request(shell).get("content")
    if content is not None:
        _watched[0] = bool(content.get("allow_stdin", False))
    return _watched[0]


def running_cell() -> int | None:
    """Return the number of the cell that runs, as in In[7]; None outside of cells."""
    shell = running_shell()
    if shell is None:
        return None
    if hasattr(shell, "kernel"):
        header = _request(shell).get("header", {})
        if header.get("msg_type") != "execute_request":  # a click in a widget, say
            return None
    return int(shell.execution_count)


def _header(shell: Any) -> Mapping[str, Any]:
    """Return the head of the request whose cell this code's output belongs to; empty: unknown.

    Of threads that a user has started, some kernels know the cell, and tell it for what is printed.
    """
    if threading.current_thread() is not threading.main_thread():
        printed: Mapping[str, Any] = getattr(sys.stdout, "parent_header", {})
        if printed:
            return printed
    header: Mapping[str, Any] = _request(shell).get("header", {})
    return header


class OneOutput:
    """An output of the cell it began in that can be replaced, from any thread, also afterwards."""

    def __init__(self) -> None:
        self._id = ""
        self._header: Mapping[str, Any] = {}
        self._publisher: Any = None  # of our own, where the kernel's names another cell

    def publish(self, bundle: Mapping[str, Any], metadata: dict[str, Any]) -> int:
        """Display the first bundle, replace it by the later ones; return the bytes sent."""
        from IPython.display import DisplayHandle

        is_first, shell = not self._id, running_shell()
        if is_first:
            self._id = DisplayHandle().display_id
            self._header = _header(shell)
        self._publisher_in(shell).publish(
            data=bundle,
            metadata=metadata,
            transient={"display_id": self._id},
            update=not is_first,
        )
        return sum(len(str(data).encode()) for data in bundle.values())

    def _publisher_in(self, shell: Any) -> Any:
        """Return the kernel's publisher if it names our cell here, else one that does."""
        usual = shell.display_pub
        if not hasattr(usual, "pub_socket") or self._is_named_by(usual):
            return usual  # the first also where a cell captures what is displayed
        if self._publisher is None:
            self._publisher = type(usual)(
                shell=shell, session=usual.session, pub_socket=usual.pub_socket, topic=usual.topic
            )
        self._publisher.set_parent({"header": self._header})
        return self._publisher

    def _is_named_by(self, publisher: Any) -> bool:
        if not self._header:
            return True  # as good as any
        try:
            return bool(publisher.parent_header.get("msg_id") == self._header.get("msg_id"))
        except LookupError:
            return False
