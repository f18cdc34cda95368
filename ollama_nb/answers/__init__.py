"""What came back: answers as objects, what they cost, the forms that were asked of them.

What is displayed while an answer still comes is in `display`.
"""

from ollama_nb.answers.call_stats import CallStats
from ollama_nb.answers.generation import Generation

__all__ = ["CallStats", "Generation"]
