"""What a text turned out to be, and who finds that out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ollama_nb_server.prompts.parsing.shapes import Json

Think = bool | str | None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as parsers and shapes know it: `parameters` is its whole JSON Schema."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def properties(self) -> Mapping[str, Any]:
        """The schemas of its arguments, by name."""
        properties = self.parameters.get("properties")
        return properties if isinstance(properties, dict) else {}

    @property
    def required(self) -> Sequence[str]:
        """The names of the arguments that no call may lack."""
        required = self.parameters.get("required")
        return required if isinstance(required, list) else ()

    @property
    def shape(self) -> Json:
        """Its arguments as JSON: an object, whether its schema says so or not."""
        return Json({"type": "object", **self.parameters}, f"tool {self.name!r}")


@dataclass(frozen=True, slots=True)
class CheckedTool(Tool):
    """A tool whose arguments are read by its whole schema, not only by what Ollama sees of it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool; its arguments in the order in which the model wrote them."""

    name: str
    arguments: dict[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """New thinking, new content and new calls. `lost`: text that Ollama drops and so do we."""

    thinking: str = ""
    content: str = ""
    calls: tuple[Call, ...] = ()
    lost: str = ""

    def __add__(self, other: Parts) -> Parts:
        return Parts(
            self.thinking + other.thinking,
            self.content + other.content,
            self.calls + other.calls,
            self.lost + other.lost,
        )

    def __bool__(self) -> bool:
        return bool(self.thinking or self.content or self.calls or self.lost)


NOTHING = Parts()


class OutputBroken(Exception):
    """A model's text is not what its family promises; the answer ends with this sentence.

    `before` is what the same piece of text held before that: it has been said.
    """

    def __init__(self, reason: str, before: Parts = NOTHING) -> None:
        super().__init__(reason)
        self.before = before


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known before the first word.

    Attributes
    ----------
    tools
        Those that the model was offered.
    think
        `think` of the request, None if it was not given.
    prefill
        Whether the prompt ends with an assistant's content that is to be gone on with.
    after_tool
        Whether the last message is a tool's result.
    after_assistant
        Whether the last message is an assistant's, with content or without.
    prefill_thinking
        Whether the prompt ends with an assistant's thoughts, without content, to be gone on with.
    lossless
        Whether what Ollama would lose, or end the answer for, comes back as content.
    """

    tools: tuple[Tool, ...] = ()
    think: Think = None
    prefill: bool = False
    after_tool: bool = False
    after_assistant: bool = False
    prefill_thinking: bool = False
    lossless: bool = False


class OutputParser(Protocol):
    """Takes text in, gives parts out as soon as it is certain what they are.

    Raises
    ------
    OutputBroken
        By both methods, where the family's form is broken and the answer cannot go on.
    """

    def feed(self, text: str) -> Parts:
        """What is certain now."""

    def end(self) -> Parts:
        """What is left when nothing more comes."""
