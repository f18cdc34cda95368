"""Grammars in llama.cpp's own notation (GBNF), translated to llguidance's.

The words are read in `gbnf_words`, the structure by llguidance's own reader of GBNF; following a
grammar is llguidance's (`compiling`).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from llguidance.gbnf_to_lark import (
    AlternativeNode,
    ASTNode,
    GbnfToLarkError,
    GrammarParser,
    RepetitionNode,
    RuleNode,
    RuleRefNode,
    SequenceNode,
)

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.gbnf_words import Source, spelled

MAX_RULES = 2000
NEXT_RULE = (
    "a rule should begin here (one goes on in another line behind ::=, | or inside of parentheses)"
)


@dataclass(frozen=True, slots=True)
class Rules:
    """A grammar's rules, as llguidance's reader of GBNF tells them; `root` is the first's name."""

    texts: tuple[str, ...]
    root: str

    @property
    def lark(self) -> str:
        """The whole in llguidance's notation."""
        return "\n".join((f"start: {self.root}", *self.texts, ""))


def rules(text: str, *, regular: bool) -> Rules:
    """Read a grammar.

    With `regular`, its rules become parts of one regular expression, which is fast to follow and
    impossible if one refers to itself. Else each letter is a word for the parser: nothing else
    allows all that the grammar does, because words are otherwise as long as they can be.

    Raises
    ------
    GrammarRefused
        With the line that cannot be read.
    """
    source = Source(text)
    names = _names(source, "R" if regular else "r")
    written, starts = "", []
    for kind, word, place in source.words():
        starts.append((len(written), place))
        if kind in ("defined", "used"):
            written += names[word]
        else:
            written += spelled(source, kind, word, place)
    try:
        parsed = GrammarParser().parse(written)
    except GbnfToLarkError as error:
        raise source.refusal(_told(error), _original(error.pos.pos, starts, source)) from error
    return Rules(tuple(map(str, _Flat(list(parsed.values())).rules)), names["root"])


def _told(error: GbnfToLarkError) -> str:
    told = str(error).partition(" at line ")[0].lower()
    return NEXT_RULE if told == "expected name" else told


def _original(at: int, starts: list[tuple[int, int]], source: Source) -> int:
    """The place in a source of what stands here in its translation; the last word ends both."""
    after = bisect_right(starts, (at, len(source.text)))
    return starts[after - 1][1] if after < len(starts) else len(source.text)


def _names(source: Source, prefix: str) -> dict[str, str]:
    """What each rule is called in the translation, where letters' case has a meaning."""
    names: dict[str, str] = {}
    used: dict[str, int] = {}
    for kind, word, place in source.words():
        if kind == "defined":
            names.setdefault(word, f"{prefix}{len(names)}")
        elif kind == "used":
            used.setdefault(word, place)
        if len(names) > MAX_RULES:
            raise source.refusal(f"there are more than {MAX_RULES} rules", place)
    for word, place in used.items():
        if word not in names:
            raise source.refusal(f"there is no rule {word!r}", place)
    if "root" not in names:
        raise GrammarRefused("it has no rule 'root', where an answer begins", "", "grammar")
    return names


class _Flat:
    """The same rules without groups: each is a rule, for llguidance reads few parentheses."""

    def __init__(self, rules: list[RuleNode]) -> None:
        self.rules, self._prefix = list(rules), "G" if rules[0].name.isupper() else "g"
        for rule in rules:
            rule.alternatives = self._inside(rule.alternatives)

    def _inside(self, node: ASTNode) -> ASTNode:
        if isinstance(node, AlternativeNode):
            node.alternatives = [self._inside(each) for each in node.alternatives]
        elif isinstance(node, SequenceNode):
            node.nodes = [part for each in node.nodes for part in self._parts(each)]
        elif isinstance(node, RepetitionNode):
            (node.node,) = self._parts(node.node, once=False)
        return node

    def _parts(self, node: ASTNode, *, once: bool = True) -> list[ASTNode]:
        """What stands for a part of a sequence: itself, its own parts, or the name of its rule."""
        if not isinstance(node, AlternativeNode):
            return [self._inside(node)]
        inside = self._inside(node)
        (first, *others) = node.alternatives
        if once and not others and isinstance(first, SequenceNode) and first.nodes:
            return first.nodes
        name = f"{self._prefix}{len(self.rules)}"
        self.rules.append(RuleNode(name, inside, ""))
        return [RuleRefNode(name)]
