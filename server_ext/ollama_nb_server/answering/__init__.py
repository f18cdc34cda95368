"""What a verb does, once: its steps in order, from a wire request to wire responses.

Owns no state; what a step decides is in the room below.
"""
