"""What form an answer must take: from a wish (a class, a JSON Schema, a short form) to a schema.

`short_form` reads `name, age int`, `types` asks pydantic, `json_answers` and `frames` read answers.
All are lazy.
"""

from ollama_nb.answers.schemas.schema import Schema
from ollama_nb.answers.schemas.wishes import schema_of, wanted

__all__ = ["Schema", "schema_of", "wanted"]
