"""Functions that a model may call: what it is told of them, how they are run, what it hears back.

`asking` offers them and goes to and fro; a call itself is in `answers.tool_call`.
"""
