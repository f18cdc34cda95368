"""Models whose answers are told as they come."""

from __future__ import annotations

from ollama_nb_server.prompts.parsing.generic import PlainParser
from ollama_nb_server.prompts.parsing.output_format import OutputFormat

PASSTHROUGH = OutputFormat(lambda _: PlainParser())
