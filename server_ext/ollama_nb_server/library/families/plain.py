"""What a plain chat template may consist of: a loop over messages, their roles and contents.

Owns the list of what is allowed; what such a template writes is tried out in `probing`. There are
two reasons for a list. A template that does more (tools, thinking, images, documents, dates,
macros) must not give way to a Go template that does less; here it falls through, as the list has no
word for it. And a plain template cannot run long: loops go over messages, never inside one another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jinja2 import nodes

MAX_DEPTH = 60
NAMES = {"messages", "loop", "bos_token", "eos_token", "add_generation_prompt"}
FIELDS = {"role", "content", "first", "last", "index", "index0", "length"}
METHODS, FILTERS = {"strip", "title"}, {"trim", "title", "capitalize", "length"}
FUNCTIONS = {"raise_exception", "namespace"}
TESTS = {"defined", "none"}
# Contents are never compared: who looks for something in them does more than write them.
COMPARED = {"system", "user", "assistant", "model", ""}
# The first message, the last one, every second one: what depends on more is seen by no probe.
MAX_NUMBER = 2
# A template may set a name that its caller can set too; these belong to what plain ones do not do.
MORE = ("tool", "document", "think", "reason", "date", "image")
STRUCTURE = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.Assign,
    nodes.NSRef,
    nodes.Keyword,
    nodes.Operand,
    nodes.Slice,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.CondExpr,
    nodes.Add,
    nodes.Mod,
)


def is_plain(tree: nodes.Template) -> bool:
    """Whether a parsed template keeps to the list."""
    return Grammar(known_names(tree), known_fields(tree), message_lists(tree)).accepts(tree)


def known_names(tree: nodes.Template) -> frozenset[str]:
    """Names with a meaning: the usual ones and those that the template sets itself."""
    own = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}
    return frozenset(NAMES | own)


def known_fields(tree: nodes.Template) -> frozenset[str]:
    """Fields with a meaning: the usual ones and those of the template's own namespaces."""
    own = {reference.attr for reference in tree.find_all(nodes.NSRef)}
    return frozenset(FIELDS | own | {pair.key for pair in tree.find_all(nodes.Keyword)})


def message_lists(tree: nodes.Template) -> frozenset[str]:
    """Names that never hold anything but messages: all of them, or all but the first."""
    found, others = {"messages"}, set[str]()
    for assign in tree.find_all(nodes.Assign):
        if isinstance(assign.target, nodes.Name):
            (found if is_messages(assign.node) else others).add(assign.target.name)
    return frozenset(found - others)


def is_messages(node: nodes.Node) -> bool:
    """`messages`, or a part of it such as `messages[1:]`."""
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        node = node.node
    return isinstance(node, nodes.Name) and node.name == "messages"


def are_constants(children: Iterable[nodes.Node]) -> bool:
    """Whether nothing has to be computed."""
    return all(isinstance(child, nodes.Const) for child in children)


@dataclass(frozen=True, slots=True)
class Grammar:
    """The list, with the names that one template brings along."""

    names: frozenset[str]
    fields: frozenset[str]
    lists: frozenset[str]

    def accepts(self, node: nodes.Node, depth: int = 0, *, in_loop: bool = False) -> bool:
        """Whether a node and all below it are on the list."""
        if depth > MAX_DEPTH or not self.allows(node):
            return False
        if isinstance(node, nodes.For):
            if in_loop or not self.goes_over_messages(node):
                return False
            in_loop = True
        children = node.iter_child_nodes()
        return all(self.accepts(child, depth + 1, in_loop=in_loop) for child in children)

    def allows(self, node: nodes.Node) -> bool:
        """Whether the node itself is on the list."""
        match node:
            case nodes.Name():
                return node.name in self.names | FUNCTIONS and not speaks_of_more(node.name)
            case nodes.Const():
                return not isinstance(node.value, int | float) or node.value <= MAX_NUMBER
            case nodes.Getattr():
                return node.attr in self.fields | METHODS
            case nodes.Getitem():
                return self.is_field(node.arg)
            case nodes.Compare():
                return all(
                    is_comparable(side) for side in (node.expr, *(op.expr for op in node.ops))
                )
            case nodes.List() | nodes.Tuple():
                return are_constants(node.items)
            case nodes.Filter():
                return node.name in FILTERS and not has_arguments(node)
            case nodes.Test():
                return node.name in TESTS and not has_arguments(node)
            case nodes.Call():
                return self.may_be_called(node)
            case nodes.For():
                return not node.recursive
        return type(node) in STRUCTURE

    def is_field(self, key: nodes.Node) -> bool:
        """Whether `[key]` takes a known field, a message by its number, or a part."""
        if isinstance(key, nodes.Const):
            return not isinstance(key.value, str) or key.value in self.fields
        return isinstance(key, nodes.Neg | nodes.Slice)

    def goes_over_messages(self, loop: nodes.For) -> bool:
        """Whether a loop takes as many turns as there are messages, at most."""
        node = loop.iter
        return is_messages(node) or (isinstance(node, nodes.Name) and node.name in self.lists)

    def may_be_called(self, call: nodes.Call) -> bool:
        """A refusal, a namespace, or a method without arguments."""
        if call.dyn_args is not None or call.dyn_kwargs is not None:
            return False
        if isinstance(call.node, nodes.Name):
            return call.node.name in FUNCTIONS
        method = isinstance(call.node, nodes.Getattr) and call.node.attr in METHODS
        return method and not call.args and not call.kwargs


def speaks_of_more(name: str) -> bool:
    """Whether a name belongs to something that a plain template does not do."""
    return any(word in name.lower() for word in MORE)


def is_comparable(side: nodes.Expr) -> bool:
    """Whether a plain template would compare something with this: no text but a role's name."""
    if isinstance(side, nodes.List | nodes.Tuple):
        return all(is_comparable(item) for item in side.items)
    if isinstance(side, nodes.Const):
        return not isinstance(side.value, str) or side.value in COMPARED
    return True


def has_arguments(node: nodes.Filter | nodes.Test) -> bool:
    """Whether a filter or a test is given more than its value."""
    return bool(node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)
