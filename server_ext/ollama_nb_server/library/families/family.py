"""The families of chat templates that we know: their marks, their stop texts, their Go templates.

Names and stop texts are Ollama's (reference/ollama-models.md 4.9, 5.8); the templates are our own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
# What Go itself makes of each template, written by tools/record_families.py.
RECORDED = HERE / "renderings.json"


@dataclass(frozen=True, slots=True)
class Family:
    """A way to write conversations that many models share.

    Attributes
    ----------
    name : str
        As Ollama calls it; two variants of a family share it.
    mark : str
        What every Jinja template of the family has in it.
    stop : tuple of str
        Texts that end an answer.
    bos, eos : str
        Tokens that begin a text and end an answer in most models of the family; the Go template has
        the second one written out, and leaves the first one to the tokenizer.
    variant : str
        What tells this variant's template from the family's main one.
    """

    name: str
    mark: str
    stop: tuple[str, ...]
    bos: str = "<s>"
    eos: str = "</s>"
    variant: str = ""

    @property
    def key(self) -> str:
        """The name of its template's file, which no other variant has."""
        return f"{self.name}-{self.variant}" if self.variant else self.name

    @property
    def template(self) -> str:
        """Its Go template."""
        return (TEMPLATES / f"{self.key}.gotmpl").read_text("utf-8")

    @property
    def renderings(self) -> dict[str, str]:
        """What its Go template makes of each probe."""
        return recorded()[self.key]


@lru_cache(maxsize=1)
def recorded() -> dict[str, dict[str, str]]:
    """The recorded texts, by family and probe."""
    texts: dict[str, dict[str, str]] = json.loads(RECORDED.read_text("utf-8"))
    return texts


# The order counts where a Jinja text fits two: it says nothing about system messages, say.
FAMILIES = (
    Family("chatml", "<|im_start|>", ("<|im_start|>", "<|im_end|>")),
    Family("phi-3", "<|end|>", ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")),
    Family("zephyr", "<|assistant|>", ("<|system|>", "</s>", "<|user|>", "<|assistant|>")),
    Family("llama2-chat", "<<SYS>>", ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")),
    # Ollama's own stop texts for Mistral, which Mistral models never write.
    Family("mistral-instruct", "[INST]", ("<|im_start|>", "<|im_end|>")),
    Family("mistral-instruct", "[INST]", ("<|im_start|>", "<|im_end|>"), variant="spaced"),
    Family(
        "llama3-instruct",
        "<|start_header_id|>",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
    ),
    Family(
        "gemma-instruct",
        "<start_of_turn>",
        ("<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<eos>",
    ),
    Family("gemma3-instruct", "<start_of_turn>", ("<end_of_turn>",), bos="<bos>", eos="<eos>"),
    Family(
        "command-r",
        "<|START_OF_TURN_TOKEN|>",
        ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        bos="<BOS_TOKEN>",
        eos="<|END_OF_TURN_TOKEN|>",
    ),
    Family("openchat", "GPT4 Correct", ("<|end_of_turn|>",), eos="<|end_of_turn|>"),
    Family("codellama-70b-instruct", "<step>", ("Source:", "Destination:", "<step>")),
    Family(
        "alfred",
        "<end_message>",
        ("<start_system>", "<end_message>", "<start_user>", "<start_assistant>"),
    ),
    Family("granite-instruct", "Question:", ("System:", "Question:", "Answer:")),
    Family("solar-instruct", "### User:", ("### System:", "### User:", "### Assistant")),
    Family("alpaca", "### Instruction:", ("### Instruction:", "### Response")),
    Family(
        "starcoder2-instruct",
        "### Instruction",
        ("### Instruction", "### Response", "<|endoftext|>"),
        bos="<|endoftext|>",
        eos="<|endoftext|>",
    ),
    Family("magicoder", "@@ Instruction", ("@@ Instruction", "@@ Response")),
    Family("falcon-instruct", "Falcon:", ("User:", "Assistant:"), eos="<|endoftext|>"),
    Family("vicuna", "USER:", ("USER:", "ASSISTANT:")),
    Family(
        "chatqa",
        "Assistant:",
        ("System:", "User:", "Assistant:", "<|begin_of_text|>"),
        bos="<|begin_of_text|>",
        eos="<|end_of_text|>",
    ),
)
