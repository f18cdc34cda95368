"""What form an answer must take: from a wish (a class, a JSON Schema, a short form) to a schema.

`short_form` reads `name, age int`, `types` asks pydantic, `reading` reads answers. All are lazy.
"""

from ollama_nb.schemas.schema import Schema, schema_of, wanted

__all__ = ["Schema", "schema_of", "wanted"]
