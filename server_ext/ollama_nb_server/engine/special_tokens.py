"""Which texts of a vocabulary stand for special tokens, as whoever writes prompts must know it.

llama.cpp turns the text of a control token into that token where a segment says so, and that of a
user-defined one everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ollama_nb_server.engine.native import CONTROL, UNKNOWN, USER_DEFINED, Model

MAX_LETTERS = 1 << 20  # that are told; the largest vocabularies we know have a tenth of that


@dataclass(frozen=True, slots=True)
class SpecialTexts:
    """The texts of control tokens and of user-defined ones; `num_left_out`: too many to be told."""

    control: tuple[str, ...]
    user_defined: tuple[str, ...]
    num_left_out: int

    @classmethod
    def of(cls, model: Model) -> SpecialTexts:
        """Read them off a vocabulary; control tokens come first where there are too many."""
        control = _texts(model, CONTROL | UNKNOWN)
        defined = [text for text in _texts(model, USER_DEFINED) if text not in set(control)]
        told = list(_within(MAX_LETTERS, [*control, *defined]))
        known = set(told)
        return cls(
            tuple(text for text in control if text in known),
            tuple(text for text in defined if text in known),
            len(control) + len(defined) - len(told),
        )


def _texts(model: Model, attributes: int) -> list[str]:
    tokens = (token for token, has in enumerate(model.attributes) if has & attributes)
    return list(dict.fromkeys(filter(None, map(model.token_text, tokens))))


def _within(num_letters: int, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        num_letters -= len(text)
        if num_letters < 0:
            return
        yield text
