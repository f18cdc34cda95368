"""Which well-known family a GGUF's Jinja chat template belongs to, and that family's Go template.

What a model is given of it (a template layer, stop texts) is decided by whoever calls `detect`.
"""

from ollama_nb_server.library.families.detection import detect
from ollama_nb_server.library.families.family import FAMILIES, Family

__all__ = ["FAMILIES", "Family", "detect"]
