"""The server's models: listed, described, created, pulled, pushed, copied and removed.

Not `models`, which is a function of the package. What a model answers is in `asking`.
"""
