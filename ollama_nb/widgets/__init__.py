"""The widgets: live controls over ordinary outputs, so that a saved notebook keeps its text.

Each is its traits; what they ask goes through `asking`.
"""
