"""tornado handlers: parse, authorise, call one room below, stream. No knowledge of models.

`routes` is the one table that both apps serve; `base` writes answers, streams and errors.
"""
