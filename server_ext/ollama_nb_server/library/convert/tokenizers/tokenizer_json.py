"""`tokenizer.json`: its parts, checked as far as a conversion reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ollama_nb_server.library.convert.errors import BadTokenizer
from ollama_nb_server.library.convert.folder import Folder

FILE = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Added:
    """A token that was added to the model's own."""

    number: int
    content: str
    special: bool


@dataclass(frozen=True, slots=True)
class TokenizerJson:
    """One file."""

    values: dict[str, Any]

    @property
    def model(self) -> dict[str, Any]:
        """The model: kind, vocabulary, merges."""
        return self.part("model")

    @property
    def kind(self) -> str:
        """BPE, WordPiece, Unigram; files older than that field are told by what they hold."""
        found = self.model.get("type")
        return str(found or ("BPE" if "merges" in self.model else "WordPiece"))

    def part(self, name: str) -> dict[str, Any]:
        """One of the steps; empty if there is none."""
        value = self.values.get(name) or {}
        if not isinstance(value, dict):
            raise BadTokenizer(f"{FILE}: `{name}` is no object")
        return value

    @property
    def vocab(self) -> dict[str, int]:
        """Token -> id."""
        found = self.model.get("vocab")
        if not isinstance(found, dict) or not all(_is_id(number) for number in found.values()):
            raise BadTokenizer(f"{FILE}: `vocab` is no table of tokens and numbers")
        return found

    @property
    def added(self) -> list[Added]:
        """Added tokens."""
        found = self.values.get("added_tokens") or []
        try:
            return [Added(int(t["id"]), str(t["content"]), bool(t.get("special"))) for t in found]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadTokenizer(f"{FILE}: `added_tokens` cannot be read: {error!r}") from error

    @property
    def merges(self) -> list[tuple[str, str]]:
        """Pairs in the order in which they are merged."""
        found = self.model.get("merges") or []
        pairs = [_pair(merge) for merge in found] if isinstance(found, list) else [None]
        whole = [pair for pair in pairs if pair is not None]
        if len(whole) < len(pairs):
            raise BadTokenizer(f"{FILE}: `merges` does not hold pairs")
        return whole

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The pre-tokenizers in order, without the sequence around them."""
        return sequence(self.part("pre_tokenizer"), "pretokenizers")

    @property
    def normalizers(self) -> list[dict[str, Any]]:
        """The normalizers in order."""
        return sequence(self.part("normalizer"), "normalizers")

    @property
    def processors(self) -> list[dict[str, Any]]:
        """The post-processors in order."""
        return sequence(self.part("post_processor"), "processors")


def sequence(step: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A step, or all of a sequence of them.

    Raises
    ------
    BadTokenizer
        If they are no objects.
    """
    steps = step.get(name) if step.get("type") == "Sequence" else [step] if step else []
    if not isinstance(steps, list) or not all(isinstance(part, dict) for part in steps):
        raise BadTokenizer(f"{FILE}: `{name}` is no list of steps")
    return steps


def _pair(merge: Any) -> tuple[str, str] | None:
    """Two texts, in a list or with a blank between them."""
    parts = merge.split(" ", 1) if isinstance(merge, str) else merge
    if not isinstance(parts, list) or len(parts) != 2:
        return None
    one, other = parts
    return (one, other) if isinstance(one, str) and isinstance(other, str) else None


def _is_id(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def read(folder: Folder) -> TokenizerJson:
    """The folder's file; an empty one if there is none."""
    return TokenizerJson(folder.object(FILE))
