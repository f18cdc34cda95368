"""The public name of `managing.modelfile`: read and write Modelfiles."""

from ollama_nb.managing.modelfile import Modelfile, parse

__all__ = ["Modelfile", "parse"]
