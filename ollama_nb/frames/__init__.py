"""`df.llm` and `s.llm`: models at work on columns; importing this registers them.

Each verb has a module, what all verbs do to rows is in `running`; the index is kept, the input is
never changed, NA in is NA out, and a row that fails never loses the others.
"""

from ollama_nb.frames.registering import register

register()
