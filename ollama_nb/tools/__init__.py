"""Functions that a model may call: what it is told of them, how they are run, what it hears back.

`chatting` offers them, `rounds` goes to and fro between the model and its calls.
"""
