"""The dialects in which Ollama published models (reference/ollama-models.md 10.1), a row each."""

from __future__ import annotations

from ollama_nb_server.library.dialects.dialect import Dialect
from ollama_nb_server.library.dialects.marks import (
    always,
    any_of,
    begins,
    both,
    ends,
    key,
    num_rows,
    num_tokens,
    says,
    tensor,
    whole_key,
    without,
)
from ollama_nb_server.library.dialects.translations import experts, gemma, glm, others, qwen
from ollama_nb_server.library.gguf import GGUFMetadata

PRE, PROJECTOR = "tokenizer.ggml.pre", "clip.projector_type"
LLAMA3_TOKENS = 128_256
SEES = begins("v.", "mm.")
IN_ONE = "its vision tower lies in the same file, which llama.cpp wants in one of its own"
MIXED = "keys and tensors have other forms, and vision tower and draft head lie in the same file"
UNKNOWN = "llama.cpp does not know the architecture by this name"
QWEN35 = any_of(
    key("vision.block_count"),
    key("image_token_id"),
    key("ssm.v_head_reordered"),
    key("rope.mrope_interleaved"),
    begins("v.", "mm.", "mtp."),
    ends(".ssm_dt"),
)


def _shorter_per_layer(metadata: GGUFMetadata) -> bool:
    rows = num_rows(metadata, "per_layer_token_embd.weight")
    return 0 < rows != num_rows(metadata, "token_embd.weight")


def _has_llama3_vocabulary(metadata: GGUFMetadata) -> bool:
    """Of its size, with its end of a turn; the texts are read only if the size is right."""
    if num_tokens(metadata) < LLAMA3_TOKENS:
        return False
    tokens = metadata.get("tokenizer.ggml.tokens")
    return bool(tokens[others.END_OF_TURN] == "<|eot_id|>")


ROWS: tuple[Dialect, ...] = (
    Dialect(
        "embeddinggemma",
        "gemma3",
        "EmbeddingGemma",
        tensor("dense.0.weight"),
        "it calls itself a Gemma 3, and its last layers have other names",
        gemma.embeddinggemma,
    ),
    Dialect(
        "gemma3",
        "gemma3",
        "Gemma 3",
        any_of(
            key("mm.tokens_per_image"),
            key("rope.global.freq_base"),
            key("rope.local.freq_base"),
            SEES,
            without(key("attention.layer_norm_rms_epsilon")),
        ),
        "keys are missing or have other names, and its vision tower may lie in the same file",
        gemma.gemma3,
    ),
    Dialect(
        "gemma3n",
        "gemma3n",
        "Gemma 3n",
        any_of(_shorter_per_layer, begins("v.", "a.", "mm.")),
        "its two tables of embeddings have different numbers of tokens",
        gemma.gemma3n,
    ),
    Dialect(
        "gemma4",
        "gemma4",
        "Gemma 4",
        any_of(
            begins("a.", "v.", "mm.", "model.vision_tower."),
            ends(".per_expert_scale"),
            says("tokenizer.ggml.model", "llama"),
        ),
        "what it sees and hears with lies in the same file, and its tokenizer is told wrongly",
        gemma.gemma4,
    ),
    Dialect(
        "bert/snowflake",
        "bert",
        "Snowflake Arctic Embed 2",
        others.letters_in_charsmap,
        "its tokenizer's table of characters is base64, and llama.cpp wants bytes",
        others.snowflake,
    ),
    Dialect("gptoss", "gptoss", "gpt-oss", always, UNKNOWN, experts.gptoss),
    Dialect(
        "lfm2",
        "lfm2",
        "LFM2",
        both(tensor("output_norm.weight"), without(tensor("token_embd_norm.weight"))),
        "its last norm has another name",
        others.lfm2,
    ),
    Dialect("olmo3", "olmo3", "OLMo 3", always, UNKNOWN, others.olmo3),
    Dialect(
        "mistral3",
        "mistral3",
        "Mistral Small 3.1 or one of its kind",
        any_of(
            SEES,
            key("rope.scaling.beta_fast"),
            key("rope.scaling.mscale_all_dim"),
            key("rope.scaling_beta"),
        ),
        "the numbers of its rope have other names, and its vision tower may lie in the same file",
        others.mistral3,
    ),
    Dialect(
        "qwen35",
        "qwen35",
        "Qwen 3.5",
        QWEN35,
        MIXED,
        qwen.qwen35,
    ),
    Dialect(
        "qwen35moe",
        "qwen35moe",
        "Qwen 3.5 MoE",
        QWEN35,
        MIXED,
        qwen.qwen35,
    ),
    Dialect(
        "qwen3next",
        "qwen3next",
        "Qwen3-Next",
        ends(".ssm_dt"),
        "a bias of its linear layers has another name",
        qwen.qwen3next,
    ),
    Dialect("qwen25vl", "qwen25vl", "Qwen2.5-VL", always, UNKNOWN, qwen.qwen25vl),
    Dialect(
        "qwen3vl",
        "qwen3vl",
        "Qwen3-VL",
        any_of(SEES, without(key("rope.dimension_sections"))),
        IN_ONE,
        qwen.qwen3vl,
    ),
    Dialect(
        "qwen3vlmoe",
        "qwen3vlmoe",
        "Qwen3-VL MoE",
        any_of(SEES, without(key("rope.dimension_sections"))),
        IN_ONE,
        qwen.qwen3vl,
    ),
    Dialect("deepseekocr", "deepseekocr", "DeepSeek-OCR", always, UNKNOWN, experts.deepseekocr),
    Dialect("glmocr", "glmocr", "GLM-OCR", always, UNKNOWN, glm.glmocr),
    Dialect("glm4moelite", "glm4moelite", "GLM-4.7-Flash", always, UNKNOWN, glm.glm4moelite),
    Dialect(
        "laguna",
        "laguna",
        "Laguna",
        any_of(key("rope.swa.dimension_count"), key("rope.swa.freq_base"), ends(".attn_g.weight")),
        "its attention's gate and the keys of its sliding layers have other names",
        experts.laguna,
    ),
    Dialect(
        "nemotron_h_moe",
        "nemotron_h_moe",
        "Nemotron 3",
        any_of(ends(".ffn_latent_in.weight", ".ffn_latent_out.weight"), begins("mtp.")),
        "its latent layers have other names, and its draft head lies in the same file",
        experts.nemotron_h_moe,
    ),
    Dialect(
        "nemotron_h_omni",
        "nemotron_h_omni",
        "Nemotron 3 Omni",
        always,
        UNKNOWN,
        experts.nemotron_h_omni,
    ),
    Dialect(
        "llama3 tokenizer",
        "llama",
        "Llama 3",
        both(says(PRE, None, "", "default"), _has_llama3_vocabulary),
        "it does not say how its tokenizer cuts texts into words",
        others.llama3,
    ),
    Dialect("llama4", "llama4", "Llama 4", SEES, IN_ONE, experts.llama4),
    Dialect(
        "clip without projector type",
        "clip",
        "a LLaVA projector",
        both(
            says("clip.has_vision_encoder", True),
            without(any_of(whole_key(PROJECTOR), whole_key("clip.vision.projector_type"))),
        ),
        "it does not say of which kind it is",
        others.clip,
    ),
)
ARCHITECTURES = frozenset(row.architecture for row in ROWS)


def recognise(metadata: GGUFMetadata) -> Dialect | None:
    """The dialect of a file; None for what llama.cpp can load as it is.

    Reads the file's list of tensors only for the architectures that have a dialect.
    """
    if metadata.architecture not in ARCHITECTURES:
        return None
    rows = (row for row in ROWS if row.architecture == metadata.architecture)
    return next((row for row in rows if row.shows(metadata)), None)
