"""JSON Schemas as people send them, made into ones that llguidance can keep an answer to.

What cannot be promised is refused with its place. Compiling and matching are the engine's.
"""
