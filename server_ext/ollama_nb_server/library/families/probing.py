"""Tries a plain template out on a few conversations, in jinja2's sandbox, within bounds.

Owns the conversations and the bounds. `tools/record_families.py` records what our Go templates make
of the same conversations.
"""

from __future__ import annotations

from typing import Any, NoReturn

import jinja2
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from ollama_nb_server.library.families.plain import is_plain

MAX_TEXT_CHARS = 16_000
# Stand for the model's own tokens; no template has them in its text.
BOS, EOS = "\ue000bos\ue001", "\ue000eos\ue001"

SYSTEM = {"role": "system", "content": "Answer as a sailor would.\n\nBe 'brief' & kind."}
HELLO = {"role": "user", "content": "What is {{ rain }}?\n- one line, please"}
ANSWER = {"role": "assistant", "content": 'Water, "falling".'}
AGAIN = {"role": "user", "content": "And {% hail %} <b>?</b>"}
SECOND = {"role": "assistant", "content": "Ice: 100%."}
THIRD = {"role": "user", "content": "Ünd Schnee? 雪"}

PROBES = {
    "user": [HELLO],
    "turns": [HELLO, ANSWER, AGAIN],
    "long": [HELLO, ANSWER, AGAIN, SECOND, THIRD],
    "system": [SYSTEM, HELLO],
    "system-turns": [SYSTEM, HELLO, ANSWER, AGAIN],
    "late-system": [HELLO, ANSWER, SYSTEM, AGAIN],
}
# The same conversations without their system message.
WITHOUT_SYSTEM = {"system": "user", "system-turns": "turns", "late-system": "turns"}


class Refused(jinja2.TemplateError):
    """The template does not take this conversation."""


class OutOfBounds(jinja2.TemplateError):
    """The template makes more of a small conversation than a plain one would."""


class BoundedSandbox(ImmutableSandboxedEnvironment):
    """The sandbox, with sums of texts kept short and no text formatting by `%`."""

    intercepted_binops = frozenset("+%")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute a sum, or the remainder of two numbers."""
        if operator == "%" and not (isinstance(left, int) and isinstance(right, int)):
            raise OutOfBounds("a text is formatted")
        value = super().call_binop(context, operator, left, right)
        if isinstance(value, str | list) and len(value) > MAX_TEXT_CHARS:
            raise OutOfBounds("a text grows too long")
        return value


def raise_exception(message: object = "") -> NoReturn:
    """What templates call to refuse a conversation."""
    raise Refused(str(message))


def environment() -> BoundedSandbox:
    """As transformers sets jinja2 up for chat templates."""
    made = BoundedSandbox(trim_blocks=True, lstrip_blocks=True)
    made.globals = {"raise_exception": raise_exception, "namespace": Namespace}
    return made


def renderings(jinja: str) -> dict[str, str | None] | None:
    """What a chat template makes of each probe, the probes that it refuses being None.

    None instead of all if it is no plain template, or fails.
    """
    sandbox = environment()
    try:
        tree = sandbox.parse(jinja)
        if not is_plain(tree):
            return None
        template = sandbox.from_string(tree)
        return {name: render(template, messages) for name, messages in PROBES.items()}
    except jinja2.TemplateError:
        return None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError):
        # Python's own errors: of what the template does with its values, of a number with
        # thousands of digits, of brackets inside brackets.
        return None


def render(template: jinja2.Template, messages: list[dict[str, str]]) -> str | None:
    """One conversation's text; None if the template refuses it."""
    written, num_chars = [], 0
    try:
        for piece in template.generate(
            messages=messages, bos_token=BOS, eos_token=EOS, add_generation_prompt=True
        ):
            num_chars += len(piece)
            if num_chars > MAX_TEXT_CHARS:
                raise OutOfBounds("the text is too long")
            written.append(piece)
    except Refused:
        return None
    return "".join(written)
