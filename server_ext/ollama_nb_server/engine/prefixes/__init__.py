"""Slots and what lies in them: the memory of computed prompts, shared, kept and moved."""
