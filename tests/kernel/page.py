"""What a page with a chat knows: it takes in what the kernel sends, and sends what a person does."""

from __future__ import annotations

import json
import uuid
from typing import Any


class Page:
    """Stands at the other end of a widget's comm, as `chat.js` does."""

    def __init__(self, talk: Any) -> None:
        self._talk = talk
        self.turns: list[dict[str, Any]] = list(talk.get_state()["turns"])
        self.heard: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}
        talk.comm.publish_msg = self._hear

    def _hear(self, _: str, data: dict[str, Any] | None = None, **__: object) -> None:
        data = data or {}
        if data.get("method") == "update":
            self.state |= data["state"]
        elif data.get("method") == "custom":
            message = json.loads(json.dumps(data["content"]))
            self.heard.append(message)
            if message["type"] == "turn":
                self.turns[message["at"] :] = [message["turn"]]
            elif message["type"] == "reset":
                self.turns = []

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of a kind, in their order."""
        return [message for message in self.heard if message["type"] == kind]

    def tell(self, kind: str, **facts: object) -> None:
        self._talk._handle_custom_msg({"type": kind, "id": str(uuid.uuid4()), **facts}, [])

    def ask(self, text: str) -> bool:
        """Press Enter; whether the kernel has taken the question."""
        self.tell("ask", text=text)
        return bool(self.of("taken")[-1]["taken"])
