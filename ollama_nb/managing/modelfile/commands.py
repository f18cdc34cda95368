"""What a Modelfile asks for: its commands, checked and gathered.

Which local files FROM and ADAPTER mean is found out in `files`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import BadModelfile
from ollama_nb.managing.modelfile import parameters
from ollama_nb.managing.modelfile.scanner import commands

if TYPE_CHECKING:
    from ollama_nb.managing.modelfile.scanner import Command

_VERSION = re.compile(r"v?([0-9]+(\.[0-9]+){0,2}([-+][0-9A-Za-z.+-]+)?)")
# Commands of which only the last counts -> the fields that hold them.
_ONCE = ("template", "system", "renderer", "parser")
_OFTEN = {"from": "sources", "adapter": "adapters", "draft": "drafts", "license": "licenses"}


@dataclass(slots=True)
class Modelfile:
    """What is asked for, in the words of the Modelfile; None or empty: nothing is said of it."""

    sources: list[str] = field(default_factory=list)
    adapters: list[str] = field(default_factory=list)
    drafts: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    template: str | None = None
    system: str | None = None
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    licenses: list[str] = field(default_factory=list)
    messages: list[dict[str, str]] = field(default_factory=list)
    without_effect: list[str] = field(default_factory=list)

    def wording(self) -> dict[str, Any]:
        """Return the fields of a create request that need no files."""
        fields = {name: getattr(self, name) for name in (*_ONCE, "requires")}
        fields |= {"license": self.licenses, "parameters": self.parameters}
        fields |= {"messages": self.messages}
        return {name: value for name, value in fields.items() if value}

    def _take(self, command: Command) -> None:
        if command.word in _ONCE:
            setattr(self, command.word, command.value)
        elif command.word == "parameter":
            self._set(command)
        elif command.word == "message":
            self.messages.append({"role": command.name, "content": command.value})
        elif command.word == "requires":
            self.requires = _version(command)
        else:
            getattr(self, _OFTEN[command.word]).append(command.value)

    def _set(self, command: Command) -> None:
        value = parameters.typed(command.name, command.value, command.line)
        if command.name in parameters.WITHOUT_EFFECT:
            self.without_effect.append(command.name)
        elif command.name in parameters.LIST:
            self.parameters.setdefault(command.name, []).append(value)
        else:
            self.parameters[command.name] = value


def _version(command: Command) -> str:
    found = _VERSION.fullmatch(command.value)
    if found is None:
        raise BadModelfile("requires must be a valid semver (e.g. 0.14.0)", command.line)
    return found[1]


def parse(text: str) -> Modelfile:
    r"""Read a Modelfile.

    Raises
    ------
    BadModelfile
        With the line on which it went wrong, where there is one.

    Examples
    --------
    >>> parse("FROM demo\nPARAMETER temperature 0.5").parameters
    {'temperature': 0.5}
    """
    asked = Modelfile()
    for command in commands(text):
        asked._take(command)
    if not asked.sources:
        raise BadModelfile("no FROM line")
    return asked
