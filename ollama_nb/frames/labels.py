"""The labels that rows may have, examples of them, and the prompt that asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.scoring import checked_choices
from ollama_nb.errors import BadChoices

if TYPE_CHECKING:
    from collections.abc import Iterable

QUESTION = "Which label fits the text?"
ONE_OF_THEM = "Answer with one of these labels and nothing else."
YES_OR_NO = "Does the label fit the text? Answer Yes or No."


@dataclass(frozen=True)
class Labels:
    """The labels, with descriptions where there are some, and examples of texts that have them."""

    names: tuple[str, ...]
    descriptions: Mapping[str, str]
    examples: tuple[tuple[str, Any], ...]
    question: str

    @classmethod
    def of(
        cls,
        labels: Mapping[str, str] | Iterable[str],
        examples: Mapping[str, Any] | Iterable[tuple[str, Any]] | None,
        question: str | None,
        *,
        multi: bool,
    ) -> Labels:
        """Return what a call means.

        Raises
        ------
        BadChoices
            If there are not two different labels, or an example has none of them.
        """
        described = dict(labels) if isinstance(labels, Mapping) else {}
        names = checked_choices(labels)
        if len(names) < 2 and not multi:
            raise BadChoices(f"one label is no choice: give another one beside {names[0]!r}")
        pairs = examples.items() if isinstance(examples, Mapping) else examples or ()
        shown = tuple(_example(pair, names, multi=multi) for pair in pairs)
        return cls(names, described, shown, question or QUESTION)

    @property
    def choices(self) -> tuple[str, ...]:
        """How an answer spells each label: in quotes where one is the beginning of another."""
        begins = any(
            one != other and other.startswith(one) for one in self.names for other in self.names
        )
        return tuple(f'"{name}"' for name in self.names) if begins else self.names

    def prompt(self, text: str) -> str:
        """Ask which label fits; what all rows have alike stands first and is read once."""
        spelled = dict(zip(self.names, self.choices, strict=True))
        told = "\n".join(f"- {spelled[name]}{self._described(name)}" for name in self.names)
        shown = "".join(f"Text: {one}\nLabel: {spelled[name]}\n\n" for one, name in self.examples)
        return f"{self.question} {ONE_OF_THEM}\n\n{told}\n\n{shown}Text: {text}\nLabel:"

    def prompt_of_one(self, text: str, name: str) -> str:
        """Ask whether one label fits."""
        shown = "".join(
            f"Text: {one}\nLabel: {name}\nAnswer: {'Yes' if name in names else 'No'}\n\n"
            for one, names in self.examples
        )
        return f"{shown}Text: {text}\nLabel: {name}{self._described(name)}\n\n{YES_OR_NO}"

    def _described(self, name: str) -> str:
        description = self.descriptions.get(name)
        return f": {description}" if description else ""


def _example(pair: Any, names: tuple[str, ...], *, multi: bool) -> tuple[str, Any]:
    """Return an example's text and its label, or labels."""
    try:
        text, given = pair
    except (TypeError, ValueError):
        raise BadChoices(f"an example is a text and its label, not {pair!r}") from None
    labels = given if multi and not isinstance(given, str) else [given]
    for label in labels:
        if label not in names:
            raise BadChoices(f"an example has the label {label!r}; there are {', '.join(names)}")
    return str(text), list(labels) if multi else given
