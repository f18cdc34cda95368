"""Which of llama.cpp's pre-tokenizers a `tokenizer.json` has: how text is cut before BPE.

It is told by the regular expressions of its splits, as Ollama does (ollama-models.md 4.8): the
SHA-256 of their texts, one after another. One that is not in the table is refused, as llama.cpp's
own converter does: with the wrong one a model works, but worse, and nobody would see why.
"""

from __future__ import annotations

import hashlib

from ollama_nb_server.library.convert.errors import BadTokenizer
from ollama_nb_server.library.convert.tokenizers.tokenizer_json import TokenizerJson

LLAMA3 = "d98f9631be1e9607a9848c26c1f9eac1aa9fc21ac6ba82a2fc0741af9780a48f"
# SHA-256 of the splits -> llama.cpp's name. The expressions themselves are in the tests.
SPLITS = {
    "1ff7f41064896984db5d1bb6ff64fa4bc29007d08c1b439e505b7392777a319e": "qwen2",
    "00431aed57e696b747435f734d1e3b9b1bfd931a121fb5cac7129e97c181e9ba": "qwen35",
    "03df5c5863ad70781dcfdef491ead25140f895fe8010964be0daefe27be32b02": "deepseek-llm",
    "21cde974d587f0d54dc8d56b183cc1e6239600172035c68fbd6d4b9f8da0576e": "deepseek-coder",
    "3e41884740914736a01647a8d1d6426e0e5aed47b7fdb19dfb81d31e3653a502": "deepseek-v3",
    "1d64a9a8eaf9f1bd80331984d81fdd514e7feafe8df83a525dd31472f275699a": "tekken",
    "2d1b8dc11e89af71459b36004f698ab3693f59fd84f63e8ec2b49564ab857420": "gpt-4o",
}


def name_of(file: TokenizerJson) -> str:
    """llama.cpp's name.

    Raises
    ------
    BadTokenizer
        If it is not one of those that are known here.
    """
    steps = file.steps
    kinds = [str(step.get("type")) for step in steps]
    patterns = [step.get("pattern") for step in steps if step.get("type") == "Split"]
    texts = [str(p.get("Regex", "")) if isinstance(p, dict) else "" for p in patterns]
    digest = hashlib.sha256("".join(texts).encode()).hexdigest()
    if digest == LLAMA3:
        # The expression is that of GPT-4, too; Llama 3 takes a whole word before it merges.
        return "llama-bpe" if file.model.get("ignore_merges") else "dbrx"
    if digest in SPLITS:
        return SPLITS[digest]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    raise BadTokenizer(
        f"tokenizer.json: a pre-tokenizer that is not known here ({', '.join(kinds) or 'none'}, "
        f"{digest[:12]}): convert the model with llama.cpp's convert_hf_to_gguf.py and create it "
        "from the GGUF file"
    )
