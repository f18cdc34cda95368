"""The data of the recorded cases, as `tools/record_gotemplate.py` gives it to Go."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_nb_server.gotemplate import NilPointer, Struct


class Typed(list[Any]):
    """A slice of a type of its own."""

    def __init__(self, go_type: str, elements: list[Any]) -> None:
        super().__init__(elements)
        self.go_type = go_type


class Tools(list[str]):
    """A slice that prints in its own way."""

    go_type = "main.Tools"

    def go_string(self) -> str:
        return f"tools:{'+'.join(self)}"


def message(type_name: str, role: str, content: str, count: int, calls: list[Struct]) -> Struct:
    fields = {
        "Role": role,
        "Content": content,
        "Count": count,
        "Calls": Typed("[]main.Call", calls),
        "Any": None,
        "Next": NilPointer("*main.Message"),
    }
    return Struct(type_name, fields)


@pytest.fixture(scope="session")
def data() -> dict[str, Any]:
    arguments = {"city": "Oslo", "days": 3.0, "big": 1e6, "none": None}
    calls = [Struct("main.Call", {"Name": "f", "Args": arguments})]
    user = message("*main.Message", "user", "Hi <you>", 2, [])
    bot = message("*main.Message", "assistant", "héllo", 0, calls)
    return {
        "Text": "text", "Empty": "", "Umlaut": "äöü€", "Lines": 'a\nb\t"c"\\',
        "Zero": 0, "One": 1, "Minus": -42, "Half": 0.5, "Million": 1e6, "Tiny": 0.00001,
        "Yes": True, "No": False, "Null": None,
        "List": [1, "two", 3.5, None, True], "NoList": [], "Names": Typed("[]string", ["b", "a"]),
        "Map": {"b": 2, "a": "one", "n": None, "m": {"x": 1.5}},
        "NoMap": {}, "Messages": Typed("[]*main.Message", [user, bot]),
        "Message": message("main.Message", "user", "Hi <you>", 2, []),
        "Tools": Tools(["x", "y"]), "Holder": {"Tools": Tools(["z"])},
    }  # fmt: skip
