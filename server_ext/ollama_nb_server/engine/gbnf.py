"""Grammars in llama.cpp's own notation: how large they may be, and where in an answer they begin.

Reading and following them is llama.cpp's (`native`); schemas never come this way.
"""

from __future__ import annotations

import re

from ollama_nb_server.engine.constraint import Constraint
from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.engine.native import Model
from ollama_nb_server.engine.sampling import Gbnf

# llama.cpp reads and follows them recursively: ten times as much ended its process.
MAX_BYTES = 64 << 10
MAX_RULES = 2000
MAX_DEPTH = 200  # of parentheses
QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#.*')
BLANKS = "[ \\t\\r\\n]{0,2}"  # models like a line of their own for what follows a thought


def gbnf(model: Model, grammar: Grammar) -> Constraint:
    """A constraint by a grammar in llama.cpp's notation.

    Raises
    ------
    GrammarRefused
        If it is too large, or llama.cpp cannot read it.
    """
    check(grammar.text)
    if not grammar.after:
        return Constraint(model, grammar, Gbnf(model, grammar.text))
    text = f"{grammar.text}\nanswer-behind ::= {BLANKS} root\n"
    answer = Gbnf(model, text, "answer-behind")
    if not grammar.opens:
        return Constraint(model, grammar, answer)
    opens = grammar.opens.replace("\\", "\\\\").replace('"', '\\"')
    head = Gbnf(model, f'{text}answer-head ::= "{opens}" | root\n', "answer-head")
    return Constraint(model, grammar, answer, head)


def check(text: str) -> None:
    """Refuse what llama.cpp would not survive."""
    if not text.strip():
        raise GrammarRefused("the grammar is empty", "")
    if len(text.encode()) > MAX_BYTES:
        raise GrammarRefused(f"the grammar is larger than {MAX_BYTES} bytes", "")
    bare = QUOTED.sub("", text)
    if bare.count("::=") > MAX_RULES:
        raise GrammarRefused(f"the grammar has more than {MAX_RULES} rules", "")
    depth = 0
    for letter in bare:
        depth += (letter == "(") - (letter == ")")
        if depth > MAX_DEPTH:
            raise GrammarRefused(f"the grammar nests more than {MAX_DEPTH} parentheses", "")
