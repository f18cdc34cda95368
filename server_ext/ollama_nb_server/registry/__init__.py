"""Models into and out of the store by Ollama's registry protocol (ollama-models.md 3).

Who may ask for it, and how the answer travels, is `answering`'s; files of models are `library`'s.
"""

from ollama_nb_server.registry.limits import Limits
from ollama_nb_server.registry.progress import Progress
from ollama_nb_server.registry.transfers import Transfers

__all__ = ["Limits", "Progress", "Transfers"]
