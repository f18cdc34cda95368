"""Names of groups of texts, written by a model that chats: short, and no two alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_nb.answers.generation import Generation
from ollama_nb.answers.schemas import schema_of
from ollama_nb.answers.schemas.json_answers import as_json
from ollama_nb.asking.request import Request
from ollama_nb.errors import ModelNotFound
from ollama_nb.frames.errors import NoChatModel
from ollama_nb.frames.running import answer_rows
from ollama_nb.managing.catalogue import default_model, listed
from ollama_nb.managing.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama_nb.frames.running import RowAnswer

ROUNDS = 3  # of questions, until no two names are alike
SHOWN_LETTERS = 300  # of a text
FORM = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 40}},
    "required": ["name"],
    "additionalProperties": False,
}
OPTIONS = {"temperature": 0, "num_predict": 80}
ABOUT = "Texts of one group:"
# Small models repeat what stands last, and what they are told not to name: nothing of other groups.
QUESTION = "Give this group a title of at most three words. Do not repeat a text."
TAKEN = "These titles are taken: {}. Find another one."


def chat_model(model: str | None) -> str:
    """Return who writes names.

    Raises
    ------
    NoChatModel
        If nobody is named and there is none, or who is named writes no text.
    ModelNotFound
        If the server does not have the one that is named.
    """
    chosen = default_model(model)
    try:
        digest_of(chosen)  # which installs the bundled one
    except ModelNotFound:
        if model is not None:
            raise
        raise NoChatModel() from None
    wanted = {chosen.casefold(), f"{chosen.casefold()}:latest"}
    for entry in listed("tags"):
        if str(entry.get("model") or entry.get("name")).casefold() in wanted:
            able = entry.get("capabilities")
            if able and "completion" not in able:
                raise NoChatModel(chosen)
    return chosen


def names_of(groups: Sequence[Sequence[str]], model: str) -> list[str]:
    """Return a name for each group of texts; those that are alike are asked for again.

    What the model still calls alike is told apart by a number.

    Raises
    ------
    OllamaNbError
        If a group has no answer.
    """
    names = [""] * len(groups)
    for _ in range(ROUNDS):
        open_ones = [place for place in _alike(names) if groups[place]]
        if not open_ones:
            break
        taken = [name for place, name in enumerate(names) if place not in open_ones and name]
        asked = [_question(groups[place], taken, model) for place in open_ones]
        rows = answer_rows(asked, model, progress=False)
        for place, row in zip(open_ones, rows, strict=True):
            names[place] = _name(row)
    return _told_apart(names)


def _question(texts: Sequence[str], taken: Sequence[str], model: str) -> Request:
    more = f" {TAKEN.format(', '.join(taken))}" if taken else ""
    prompt = f"{ABOUT}\n{_listed(texts)}\n\n{QUESTION}{more}"
    return Request("generate", model, {"prompt": prompt, "options": OPTIONS}, schema_of(FORM))


def _listed(texts: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(text.split())[:SHOWN_LETTERS]}" for text in texts)


def _name(row: RowAnswer) -> str:
    if row.error is not None:
        raise row.error
    assert row.answer is not None
    answer = Generation(row.answer.text, done_reason=row.answer.done_reason, schema=schema_of(FORM))
    return " ".join(str(as_json(answer)["name"]).split()).strip(" .\"'")


def _alike(names: Sequence[str]) -> list[int]:
    """Return the places of names that are empty, or that an earlier one is like."""
    folded = [name.casefold() for name in names]
    return [place for place, name in enumerate(folded) if not name or name in folded[:place]]


def _told_apart(names: Sequence[str]) -> list[str]:
    """Return names that are all different.

    >>> _told_apart(["taste", "Taste", "", "taste 2"])
    ['taste', 'Taste 3', 'group 2', 'taste 2']
    """
    found = list(names)
    for place in _alike(found):
        stem, number = (found[place], 2) if found[place] else ("group", place)
        others = {name.casefold() for name in found}
        while (name := f"{stem} {number}").casefold() in others:
            number += 1
        found[place] = name
    return found
