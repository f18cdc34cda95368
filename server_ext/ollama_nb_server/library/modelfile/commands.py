"""What a Modelfile asks for: its commands, checked and gathered (ollama-models.md 4.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ollama_nb_server.library.errors import BadModelfile
from ollama_nb_server.library.modelfile import parameters
from ollama_nb_server.library.modelfile.scanner import Command, Scanner

SEMVER = re.compile(r"v?(\d+(\.\d+){0,2}([-+][0-9A-Za-z.+-]+)?)")


@dataclass(slots=True)
class Modelfile:
    """All that was asked for; of what may stand once only the last counts."""

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

    def take(self, command: Command) -> None:
        """Add a command.

        Raises
        ------
        BadModelfile
            For a parameter or a version that is none.
        """
        lists = {
            "from": self.sources,
            "adapter": self.adapters,
            "draft": self.drafts,
            "license": self.licenses,
        }
        if command.word in lists:
            lists[command.word].append(command.value)
        elif command.word == "parameter":
            self._parameter(command)
        elif command.word == "message":
            self.messages.append({"role": command.name, "content": command.value})
        elif command.word == "requires":
            self.requires = _version(command)
        else:
            setattr(self, command.word, command.value)

    def _parameter(self, command: Command) -> None:
        value = parameters.read(command.name, command.value, command.line)
        if command.name in parameters.WITHOUT_EFFECT:
            self.without_effect.append(command.name)
        elif command.name in parameters.TEXTS:
            self.parameters.setdefault(command.name, []).append(value)
        else:
            self.parameters[command.name] = value


def _version(command: Command) -> str:
    found = SEMVER.fullmatch(command.value)
    if found is None:
        raise BadModelfile("requires must be a valid semver (e.g. 0.14.0)", command.line)
    return found[1]


def parse(text: str) -> Modelfile:
    """Read a Modelfile.

    Raises
    ------
    BadModelfile
        With the line on which it went wrong, where there is one.
    """
    modelfile = Modelfile()
    for command in Scanner(text).commands():
        modelfile.take(command)
    if not modelfile.sources:
        raise BadModelfile("no FROM line")
    return modelfile
