"""How each family writes its answers: a file a family, with the notation of its calls in it.

Which name means which of them is `formats`' business. Sources: reference/ollama-models.md 7.5.
"""
