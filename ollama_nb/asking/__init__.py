"""Asking a model: generate, chat with or without tools, embed; one question is a `Request`.

What of it is displayed is in `display`, what comes of it in `answers`.
"""
