"""Modelfiles on the notebook's side: read here, because the HTTP API knows none.

`parse` gives what a Modelfile asks for; `files` finds the local files that it names.
"""

from ollama_nb.managing.modelfile.commands import Modelfile, parse

__all__ = ["Modelfile", "parse"]
