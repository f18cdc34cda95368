"""Go's text/template in Python: parse a template, look at its tree, run it within limits.

Knows nothing of models, messages or Ollama's functions: those come in as values and as functions.
"""

from __future__ import annotations

from ollama_nb_server.gotemplate.errors import (
    ExecutionFault,
    FunctionFault,
    GoTemplateError,
    LimitExceeded,
    SyntaxFault,
)
from ollama_nb_server.gotemplate.limits import Limits
from ollama_nb_server.gotemplate.template import Template, parse
from ollama_nb_server.gotemplate.values import NilPointer, Stringer, Struct, Value

__all__ = [
    "ExecutionFault",
    "FunctionFault",
    "GoTemplateError",
    "LimitExceeded",
    "Limits",
    "NilPointer",
    "Stringer",
    "Struct",
    "SyntaxFault",
    "Template",
    "Value",
    "parse",
]
