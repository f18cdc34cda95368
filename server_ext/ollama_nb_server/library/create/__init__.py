"""Makes a model: from files, or from another model, with new texts and options over it.

The steps of reference/ollama-models.md 4.6, each telling its progress. The manifest is written
last: a create that fails leaves no model, only blobs that pruning finds.
"""

from ollama_nb_server.library.create.creation import create
from ollama_nb_server.library.create.progress import Progress
from ollama_nb_server.library.create.recipe import Recipe
from ollama_nb_server.library.create.sources import layer_kind
from ollama_nb_server.library.jobs import Cancellation, Cancelled

__all__ = ["Cancellation", "Cancelled", "Progress", "Recipe", "create", "layer_kind"]
