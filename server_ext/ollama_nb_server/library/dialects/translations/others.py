"""Snowflake Arctic Embed 2, LFM2, OLMo 3, Mistral Small 3.1, Llama 3, LLaVA projectors."""

from __future__ import annotations

import base64
import binascii

from ollama_nb_server.library.dialects.changes import Changes, octets, text, u32
from ollama_nb_server.library.dialects.errors import OldDialect
from ollama_nb_server.library.dialects.marks import num_rows
from ollama_nb_server.library.dialects.translations.parts import moved, senses
from ollama_nb_server.library.gguf import GGUFMetadata, LongArray
from ollama_nb_server.library.gguf.tables import STRING

SCALINGS = ("none", "linear", "yarn", "longrope")  # llama-model.cpp; another one aborts the process
CHARSMAP = "tokenizer.ggml.precompiled_charsmap"
END_OF_TEXT, END_OF_TURN = 128_001, 128_009  # Llama 3's tokens


def letters_in_charsmap(metadata: GGUFMetadata) -> bool:
    """Whether the table of characters is an array of texts."""
    table = metadata.values.get(CHARSMAP)
    if isinstance(table, LongArray):
        return table.kind == STRING
    return isinstance(table, list) and any(isinstance(letter, str) for letter in table)


def snowflake(metadata: GGUFMetadata) -> Changes:
    """The tokenizer's table of characters, as base64 letter by letter."""
    letters = metadata.get(CHARSMAP)
    try:
        table = base64.b64decode("".join(letters), validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise OldDialect("a BERT", f"its {CHARSMAP} is no base64 ({error})") from error
    return Changes(values={CHARSMAP: octets(table)})


def lfm2(metadata: GGUFMetadata) -> Changes:
    """The last norm by another name, and a length of the feed-forward part that is not its own."""
    rows = num_rows(metadata, "blk.0.ffn_gate.weight")
    values = {"tokenizer.ggml.pre": text("lfm2")}
    values |= {"lfm2.feed_forward_length": u32(rows)} if rows else {}
    return Changes(values=values, renamed=((r"^output_norm\.weight$", "token_embd_norm.weight"),))


def olmo3(_: GGUFMetadata) -> Changes:
    """llama.cpp runs it as an OLMo 2 with sliding windows."""
    return Changes(architecture="olmo2")


def mistral3(metadata: GGUFMetadata) -> Changes:
    """YaRN by other names, and a vision tower in the same file."""
    names = {
        "rope.scaling.beta_fast": "rope.scaling.yarn_beta_fast",
        "rope.scaling.beta_slow": "rope.scaling.yarn_beta_slow",
        "rope.scaling.mscale_all_dim": "rope.scaling.yarn_log_multiplier",
        "rope.scaling_beta": "attention.temperature_scale",
    }
    values = moved(metadata, names)
    if metadata.of_architecture("rope.scaling.type", "none") not in SCALINGS:
        values["mistral3.rope.scaling.type"] = text("none")
    if metadata.get("tokenizer.ggml.pre", "") in ("", "default"):
        values["tokenizer.ggml.pre"] = text("tekken")
    return Changes(values=values, dropped=senses(metadata))


def llama3(metadata: GGUFMetadata) -> Changes:
    """The rule by which texts are cut into words was not told."""
    values = {"tokenizer.ggml.pre": text("llama-bpe")}
    for end in ("eos", "eot"):
        key = f"tokenizer.ggml.{end}_token_id"
        if metadata.get(key, END_OF_TEXT) == END_OF_TEXT:
            values[key] = u32(END_OF_TURN)
    return Changes(values=values)


def clip(_: GGUFMetadata) -> Changes:
    """The first projectors were all of one kind, and none said so."""
    return Changes(values={"clip.projector_type": text("mlp")}, in_file=True)
