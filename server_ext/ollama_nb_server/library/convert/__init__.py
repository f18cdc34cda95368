"""Makes one GGUF file of a folder of safetensors, or of a LoRA adapter (ollama-models.md 4.8).

The work is done by a child process (`python -m ollama_nb_server.library.convert`), which alone
loads numpy, gguf and safetensors: its memory is given back, and a stop stops it.
"""

from ollama_nb_server.library.convert.conversion import TYPES, convert, convert_adapter
from ollama_nb_server.library.convert.errors import CannotConvert, ConversionFailed, NoConfig

__all__ = [
    "TYPES",
    "CannotConvert",
    "ConversionFailed",
    "NoConfig",
    "convert",
    "convert_adapter",
]
