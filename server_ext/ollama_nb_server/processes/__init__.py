"""Child processes, as the engine's workers and the store's conversions use them.

What they are told and what their words mean is said where they are started.
"""

from ollama_nb_server.processes.child import Child

__all__ = ["Child"]
