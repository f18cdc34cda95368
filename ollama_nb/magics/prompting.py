"""The prompt of a magic: where it stands, the notebook's variables in it, and `--dry-run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.templating import LITERAL, Rendered, Template, braced_variables
from ollama_nb.errors import BadTemplate, MagicUsage, ServerWarning
from ollama_nb.warning import warn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ollama_nb.asking.chatting import Conversation
    from ollama_nb.asking.dry_run import DryRun


def prompt_of(text: str, cell: str | None, magic: str) -> str:
    """Return the prompt: the cell's body, or the line's text where there is no body."""
    if cell is None:
        if not text:
            raise MagicUsage(f"write the prompt after {magic[1:]}, or below {magic}")
        return text
    if text:
        raise MagicUsage(f"{text!r} on the line of {magic} is no option; the prompt goes below it")
    if not cell.strip():
        raise MagicUsage(f"write the prompt below {magic}: there is none")
    return cell.strip("\n")


def with_variables(text: str, variables: Mapping[str, Any], *, literal: bool) -> Rendered:
    """Put variables into a prompt's `{{ ... }}`, and tell of those in single braces.

    Raises
    ------
    BadTemplate
        If an expression fails; it says how a prompt is taken literally.
    """
    if literal:
        return Rendered(text)
    if braced := braced_variables(text, variables):
        name = braced[0]
        sentence = f"{{{name}}} was sent as it is; the variable is written {{{{ {name} }}}}"
        warn(sentence, ServerWarning)
    try:
        return Template(text, lenient=True).render(variables)
    except BadTemplate as error:
        told = str(error).replace(LITERAL, f"{LITERAL}, or give --literal")
        raise BadTemplate(told) from error.__cause__


def dry_generate(prompt: Rendered, settings: Mapping[str, Any]) -> DryRun:
    """Return what `%generate` would send."""
    from ollama_nb.asking.dry_run import dry_run
    from ollama_nb.asking.generating import generate_request

    return dry_run(generate_request(prompt, **_of_a_request(settings)))


def dry_chat(
    conversation: Conversation, text: Rendered, settings: Mapping[str, Any], cell: Any, run: Any
) -> DryRun:
    """Return what `%chat` would send, with the turns before; the conversation stays as it is."""
    from ollama_nb.asking.chatting import chat_request
    from ollama_nb.asking.dry_run import dry_run

    before = conversation.messages_before(cell, run)
    return dry_run(chat_request([*before, text], **_of_a_request(settings)))


def _of_a_request(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the arguments of the plain functions into those of their requests."""
    from ollama_nb.answers.schemas import wanted
    from ollama_nb.asking.generating import merged
    from ollama_nb.asking.thinking import thinking_of
    from ollama_nb.pictures.picture import pictures_of

    left = dict(settings)
    return {
        "thinking": thinking_of(left.pop("think", None), left.pop("think_budget", None)),
        "schema": wanted(
            left.pop("schema", None),
            left.pop("format", None),
            left.pop("schema_in_prompt", None),
        ),
        "options": merged(left.pop("options", None), temperature=left.pop("temperature", None)),
        "images": pictures_of(left.pop("images", None)),
        **left,
    }
