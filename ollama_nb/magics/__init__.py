"""The magics: `%generate`, `%chat` and `%ollama`, thin readers of a line around plain functions.

Nothing here talks to a server; each magic calls what a program would call.
"""
