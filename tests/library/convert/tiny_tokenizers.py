"""Tiny tokenizers, written by hand: the files that a model's folder has for each kind."""

from __future__ import annotations

import json
import struct
from typing import Any

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
SPACE, BYTE_SPACE = "\u2581", "\u0120"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SPM_PIECES = [SPACE, "e", "t", "h", "a", f"{SPACE}t", "he", f"{SPACE}the"]
SPM_MERGES = [[SPACE, "t"], ["h", "e"], [f"{SPACE}t", "he"]]
SPM_SIZE = 3 + 256 + len(SPM_PIECES)
Files = dict[str, str | bytes]


# --- SentencePiece --------------------------------------------------------------------------------


def field(number: int, kind: int, data: bytes) -> bytes:
    return varint(number << 3 | kind) + data


def varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def message(number: int, data: bytes) -> bytes:
    return field(number, 2, varint(len(data)) + data)


def piece(text: str, score: float, kind: int = NORMAL) -> bytes:
    data = message(1, text.encode()) + field(2, 5, struct.pack("<f", score))
    return message(1, data if kind == NORMAL else data + field(3, 0, varint(kind)))


def sentencepiece() -> bytes:
    """A `tokenizer.model` of BPE with bytes as a way out, as SentencePiece itself can load it."""
    pieces = [piece("<unk>", 0, UNKNOWN), piece("<s>", 0, CONTROL), piece("</s>", 0, CONTROL)]
    pieces += [piece(f"<0x{byte:02X}>", 0, BYTE) for byte in range(256)]
    pieces += [piece(text, -float(rank)) for rank, text in enumerate(SPM_PIECES)]
    trainer = field(3, 0, varint(2)) + field(35, 0, varint(1))
    normalizer = message(1, b"identity") + field(3, 0, varint(1)) + field(4, 0, varint(0))
    return b"".join(pieces) + message(2, trainer) + message(3, normalizer)


def added(number: int, content: str, special: bool = True) -> dict[str, Any]:
    return {"id": number, "content": content, "special": special, "normalized": False,
            "single_word": False, "lstrip": False, "rstrip": False}  # fmt: skip


def text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def of_sentencepiece(*more: str, **settings: Any) -> Files:
    """tokenizer.model; `more` are tokens added after its own."""
    tokens = {str(SPM_SIZE + place): added(SPM_SIZE + place, content, special=place == 0)
              for place, content in enumerate(more)}  # fmt: skip
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "add_eos_token": False,
        **({"added_tokens_decoder": tokens} if tokens else {}),
        **settings,
    }
    return {"tokenizer.model": sentencepiece(), "tokenizer_config.json": text(config)}


def of_byte_fallback() -> Files:
    """The same vocabulary without its tokenizer.model, as many fine-tuned models come."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *SPM_PIECES]
    file = {
        "version": "1.0",
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>"),
                         added(SPM_SIZE, "<|tool|>"), added(SPM_SIZE + 1, "extra", special=False)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE},
            {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]},
        "pre_tokenizer": None,
        "post_processor": template("<s>", 1),
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                  "vocab": {piece: number for number, piece in enumerate(pieces)},
                  "merges": SPM_MERGES},
    }  # fmt: skip
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
              "unk_token": "<unk>", "chat_template": "{{ messages }}"}  # fmt: skip
    return {"tokenizer.json": text(file), "tokenizer_config.json": text(config)}


def template(first: str, number: int, last: str = "", last_number: int = 0) -> dict[str, Any]:
    """A post-processor that puts tokens around a text."""
    begin, end = special(first), [special(last)] if last else []
    known = {first: number, last: last_number} if last else {first: number}
    return {
        "type": "TemplateProcessing",
        "single": [begin, sequence("A"), *end],
        "pair": [begin, sequence("A"), *end, *([] if last else [begin]), sequence("B", 1), *end],
        "special_tokens": {
            name: {"id": name, "ids": [n], "tokens": [name]} for name, n in known.items()
        },
    }


def special(name: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": name, "type_id": 0}}


def sequence(name: str, kind: int = 0) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": kind}}


# --- byte-level BPE -------------------------------------------------------------------------------


def byte_alphabet() -> list[str]:
    """GPT-2's letters for the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + place) for place in range(len(rest))]


BPE_MERGES = [f"{BYTE_SPACE} t", "h e", f"{BYTE_SPACE}t he"]
BPE_TOKENS = [*byte_alphabet(), f"{BYTE_SPACE}t", "he", f"{BYTE_SPACE}the"]
BPE_SIZE = len(BPE_TOKENS) + 4


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    ]}  # fmt: skip


GPT2_STEP = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def of_bytes(pre_tokenizer: dict[str, Any], *, begins: bool = False, pairs: bool = False,
             ignore_merges: bool = False, **settings: Any) -> Files:  # fmt: skip
    """tokenizer.json of byte-level BPE; with `begins`, a text starts with bos."""
    first = len(BPE_TOKENS)
    names = ["<|begin|>", "<|endoftext|>", "<|turn|>", "<tool_call>"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    begin = template("<|begin|>", first)
    file = {
        "version": "1.0",
        "added_tokens": [added(first + place, name, special=place < 3) for place, name in enumerate(names)],
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": {"type": "Sequence", "processors": [byte_level, begin]} if begins else byte_level,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
        "model": {"type": "BPE", "vocab": {t: number for number, t in enumerate(BPE_TOKENS)},
                  "merges": [m.split(" ") for m in BPE_MERGES] if pairs else BPE_MERGES,
                  "ignore_merges": ignore_merges},
    }  # fmt: skip
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>" if begins else None,
              "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", **settings}  # fmt: skip
    return {"tokenizer.json": text(file), "tokenizer_config.json": text(config)}


# --- WordPiece ------------------------------------------------------------------------------------

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "boat", "##s", "##ing", "sail", "."]  # fmt: skip


def of_words(*, json_too: bool = True) -> Files:
    """vocab.txt, and tokenizer.json unless it is an older folder."""
    file = {
        "version": "1.0",
        "added_tokens": [added(number, word) for number, word in enumerate(WORDS[:5])],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template("[CLS]", 2, "[SEP]", 3),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100,
                  "vocab": {word: number for number, word in enumerate(WORDS)}},
    }  # fmt: skip
    names = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True,
              **{f"{kind}_token": token for kind, token in names.items()}}  # fmt: skip
    files: Files = {"vocab.txt": "\n".join(WORDS) + "\n", "tokenizer_config.json": text(config)}
    return {**files, "tokenizer.json": text(file)} if json_too else files
