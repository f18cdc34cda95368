"""Modelfiles: read (`parse`) into what they ask for, printed back (`render`).

Grammar and quirks: reference/ollama-models.md 4.2 to 4.5.
"""

from ollama_nb_server.library.modelfile.commands import Modelfile, parse
from ollama_nb_server.library.modelfile.ingredients import Ingredients, ingredients
from ollama_nb_server.library.modelfile.printing import quoted, render

__all__ = ["Ingredients", "Modelfile", "ingredients", "parse", "quoted", "render"]
