"""How a pre-tokenizer is told, by the expressions that published tokenizers have."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_nb_server.library.convert.tokenizers.pretokenizers import name_of
from ollama_nb_server.library.convert.tokenizers.tokenizer_json import TokenizerJson
from tiny_tokenizers import GPT2_STEP, LLAMA3, QWEN2, split

# The letters of DeepSeek's first tokenizers in ranges; some look like others, so they are escaped.
LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅ"
    "ὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯ"
    "ꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")
HAN = "[一-龥ࠀ-一가-\ud7ff]+"
LINES = "\r\n"
DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^"""
    + LINES
    + r"\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+["
    + LINES
    + r"]*|\s*["
    + LINES
    + r"]+|\s+(?!\S)|\s+"
)


def splits(*patterns: str) -> dict[str, Any]:
    steps = [step for pattern in patterns for step in split(pattern)["pretokenizers"][:1]]
    return {"type": "Sequence", "pretokenizers": steps}


DIGITS = {
    "type": "Sequence",
    "pretokenizers": [{"type": "Digits", "individual_digits": True}, GPT2_STEP],
}


@pytest.mark.parametrize(
    ("pre_tokenizer", "name"),
    [
        (split(QWEN2), "qwen2"),
        (split(QWEN2.replace(r"\p{L}+|\p{N}", r"[\p{L}\p{M}]+|\p{N}").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")), "qwen35"),
        (split(LLAMA3), "dbrx"),
        (split(O200K), "gpt-4o"),
        (split(TEKKEN), "tekken"),
        (splits(r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3), "deepseek-v3"),
        (splits(f"[{LINES}]", rf"\s?[{LETTERS}]+", "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", HAN), "deepseek-llm"),
        (splits(f"[{LINES}]", r"\s?\p{L}+", r"\s?\p{P}+", HAN), "deepseek-coder"),
        (GPT2_STEP, "gpt-2"),
        (DIGITS, "smollm"),
    ],
)  # fmt: skip
def test_a_published_pre_tokenizer_is_known(pre_tokenizer: dict[str, Any], name: str) -> None:
    assert name_of(TokenizerJson({"pre_tokenizer": pre_tokenizer, "model": {}})) == name


def test_llama_3_takes_whole_words_before_it_merges() -> None:
    file = TokenizerJson({"pre_tokenizer": split(LLAMA3), "model": {"ignore_merges": True}})

    assert name_of(file) == "llama-bpe"
