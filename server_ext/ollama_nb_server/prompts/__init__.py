"""From messages to the text a model reads: Jinja chat templates, defaults, truncation.

Knows no engine and no HTTP: token counts come in as arguments.
"""
