"""Ollama's built-in renderers: the names in a model's config that stand for a way to write prompts.

A family is a Jinja template of ours beside this file and a row in `families`; what its words mean
to Go (JSON, printing, blanks) is in `filters`. Sources: reference/ollama-models.md 5.9.
"""
