"""Special tokens: their ids, which of them a text begins and ends with, and how text is normalised.

Sources, the first that says it counts: tokenizer.json's post-processor, tokenizer_config.json (and
special_tokens_map.json), config.json, generation_config.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.metadata import Metadata, flag, u32
from ollama_nb_server.library.convert.tokenizers.tokenizer_json import TokenizerJson
from ollama_nb_server.library.convert.tokenizers.vocabulary import Vocabulary

# transformers' names -> GGUF's
KEYS = {
    "bos": "bos_token_id",
    "eos": "eos_token_id",
    "unk": "unknown_token_id",
    "sep": "seperator_token_id",  # so it is spelled there
    "pad": "padding_token_id",
    "mask": "mask_token_id",
    "eot": "eot_token_id",
    "eom": "eom_token_id",
}
NAMED = ("bos", "eos", "unk", "sep", "pad", "mask")
FURTHER_ENDS = ("eot", "eom")  # llama.cpp stops at these as at eos
ADDED = ("bos", "eos", "sep")


class SpecialTokens:
    """Found step by step, in the order of the sources."""

    def __init__(self, folder: Folder, file: TokenizerJson, vocabulary: Vocabulary) -> None:
        texts = {
            key: value
            for name in ("special_tokens_map.json", "tokenizer_config.json")  # the second wins
            for key, value in folder.object(name).items()
            if value is not None
        }
        self._settings = texts
        self._file = file
        self._index = vocabulary.index()
        self._size = len(vocabulary.tokens)
        self._text = {kind: _content(texts.get(f"{kind}_token")) for kind in (*NAMED, "cls")}
        self._text["bos"] = self._text["bos"] or self._text["cls"]
        self._text["eos"] = self._text["eos"] or self._text["sep"]
        self._adds: dict[str, bool] = {}
        self._ids: dict[str, int] = {}

    def metadata(self, config: Config, generation: Config) -> Metadata:
        """The keys under `tokenizer.ggml`."""
        for step in self._file.processors:
            self._read_processor(step)
        for kind in ADDED:
            if isinstance(said := self._settings.get(f"add_{kind}_token"), bool):
                self._adds.setdefault(kind, said)
        for kind, text in self._text.items():
            self._set(kind, self._id_of(text))
        for kind in NAMED:
            self._set(kind, config.get(f"{kind}_token_id"))
        self._add_ends([config.get("eos_token_id"), generation.get("eos_token_id")])
        return {
            f"tokenizer.ggml.{key}": value
            for key, value in {
                **{KEYS[kind]: u32(number) for kind, number in self._ids.items() if kind in KEYS},
                **{f"add_{kind}_token": flag(adds) for kind, adds in self._adds.items()},
                **{f"normalizer.{k}": flag(v) for k, v in _normalizers(self._file)},
            }.items()
        }

    def _set(self, kind: str, number: Any) -> None:
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < self._size:
            self._ids.setdefault(kind, number)

    def _id_of(self, text: str) -> int | None:
        added = {token.content: token.number for token in self._file.added}
        return added.get(text, self._index.get(text.encode())) if text else None

    def _add_ends(self, sources: list[Any]) -> None:
        """Some models end their answers with one of several tokens."""
        listed = [number for ids in sources for number in (ids if isinstance(ids, list) else [ids])]
        for number in listed:
            self._set("eos", number)
            if number not in self._ids.values():
                free = next((kind for kind in FURTHER_ENDS if kind not in self._ids), None)
                self._set(free, number) if free else None

    # --- what the post-processor puts around a text -----------------------------------------------

    def _read_processor(self, step: dict[str, Any]) -> None:
        if step.get("type") == "ByteLevel":
            self._adds.setdefault("bos", False)
            self._adds.setdefault("eos", False)
        elif step.get("type") == "RobertaProcessing":
            self._adds.update(dict.fromkeys(ADDED, True))
        elif step.get("type") == "TemplateProcessing":
            self._read_template(_parts(step.get("single")), _parts(step.get("pair")))

    def _read_template(self, single: list[str], pair: list[str]) -> None:
        """`[CLS] $ [SEP]`: sequences are empty texts in the lists, special tokens their names."""
        first, last = (single[0], single[-1]) if len(single) > 1 else ("", "")
        if first:
            self._text["bos"] = self._text["bos"] or first
            self._adds["bos"] = first in (self._text["bos"], self._text["cls"])
        if last:
            self._end_with(last)
        inner = pair[1:] if first and pair[:1] == [first] else pair
        inner = inner[:-1] if last and inner[-1:] == [last] else inner
        if len(inner) > 2 and not inner[0] and not inner[-1]:
            # Between two texts: eos is there already, so only a second token is a separator.
            between = inner[1:-1] if not last else inner[2:-1]
            apart = (self._text["sep"], self._text["eos"])
            self._adds["sep"] = any(token in apart for token in between[:2])

    def _end_with(self, last: str) -> None:
        """The token at the end is eos; if the settings name another, that ends answers as well."""
        if self._text["eos"] and self._text["eos"] != last:
            self._set("eot", self._id_of(self._text["eos"]))
        self._text["eos"] = last
        self._adds["eos"] = True


def _content(entry: Any) -> str:
    found = entry.get("content") if isinstance(entry, dict) else entry
    return found if isinstance(found, str) else ""


def _parts(template: Any) -> list[str]:
    """A template's pieces: names of special tokens, nothing for a sequence."""
    found: list[str] = []
    for part in template if isinstance(template, list) else []:
        special = part.get("SpecialToken") if isinstance(part, dict) else None
        found.append(str(special.get("id", "")) if isinstance(special, dict) else "")
    return found


def _normalizers(file: TokenizerJson) -> Iterator[tuple[str, bool]]:
    """Whether letters are made small, and lose their accents."""
    for step in file.normalizers:
        if step.get("type") == "Lowercase":
            yield "lowercase", True
        elif step.get("type") == "StripAccents":
            yield "strip_accents", True
        elif step.get("type") == "BertNormalizer":
            for name in ("lowercase", "strip_accents"):
                if isinstance(step.get(name), bool):
                    yield name, step[name]
