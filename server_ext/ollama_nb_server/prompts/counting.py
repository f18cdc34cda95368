"""Compiles templates into code that counts what it does.

Owns where costs arise in a template's own text: blocks, literals, comparisons. What is counted
there, `bounded` says, whose methods the code calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, operators

from ollama_nb_server.prompts.budget import running

NODE_CHARS = 16  # what evaluating one node of a template may make, apart from its values


class CountedCode(CodeGenerator):
    """Compiles templates into code that counts what it does."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Compiling takes time too."""
        running().spend()
        return super().visit(node, *args, **kwargs)

    def blockvisit(self, statements: Iterable[nodes.Node], frame: Frame) -> None:
        """A block: one step, and what its texts and literals weigh."""
        statements = list(statements)
        self.writeline(f"environment.step({sum(map(own_weight, statements))})")
        super().blockvisit(statements, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        """`a ~ b`."""
        self.write("environment.concatenated(context.eval_ctx, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        """`a == b`, `a < b < c`; `a in b` is a call, to look at both."""
        if len(node.ops) == 1 and node.ops[0].op in ("in", "notin"):
            self.write("(not " if node.ops[0].op == "notin" else "(")
            self.write("environment.contains(")
            self.visit(node.expr, frame)
            self.write(", ")
            self.visit(node.ops[0].expr, frame)
            self.write("))")
            return
        self.write("(")
        self._compared(node.expr, frame)
        for operand in node.ops:
            self.visit(operand, frame)
        self.write(")")

    def visit_Operand(self, node: nodes.Operand, frame: Frame) -> None:
        """The sign, and what is compared with."""
        self.write(f" {operators[node.op]} ")
        self._compared(node.expr, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        """`{key: value}`: keys are hashed."""
        self.write("{")
        for item in node.items:
            self._compared(item.key, frame)
            self.write(": ")
            self.visit(item.value, frame)
            self.write(", ")
        self.write("}")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        """`a[1:]` copies; `a[b]` is the sandbox's."""
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.copied(")
        super().visit_Getitem(node, frame)
        self.write(")")

    def _compared(self, node: nodes.Expr, frame: Frame) -> None:
        if isinstance(node, nodes.Const):
            self.visit(node, frame)
            return
        self.write("environment.comparable(")
        self.visit(node, frame)
        self.write(")")


def own_weight(node: nodes.Node) -> int:
    """Texts and literals of a statement, without those of the blocks in it."""
    weight = NODE_CHARS
    if isinstance(node, nodes.TemplateData):
        weight += 4 * len(node.data)
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        weight += 4 * len(node.value)
    children = node.iter_child_nodes(exclude=("body", "else_"))
    return weight + sum(map(own_weight, children))
