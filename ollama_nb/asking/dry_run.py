"""What a question would send, and how much of the context that is, without an answer.

The server renders it with the model's own template (which loads the model) and counts tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.calling import asked, reachable
from ollama_nb.connection.failures import translated

if TYPE_CHECKING:
    from ollama_nb.asking.request import Request
    from ollama_nb.connection.connection import Connection

RENDER_ONLY = "_debug_render_only"  # Ollama's field, which ours has too


@dataclass(frozen=True, slots=True)
class DryRun:
    """The final prompt.

    Attributes
    ----------
    prompt : str
        As the model would read it, with its template, the system text and earlier turns; only
        what was asked where the server does not tell.
    is_whole : bool
        Whether the template is in it.
    tokens : int or None
        Of the text; None where the server does not count.
    context : int or None
        How many tokens the model takes; None where that is not known.
    images : tuple of str
        What the pictures are. Their tokens are the model's affair and not in `tokens`.
    """

    model: str
    prompt: str
    is_whole: bool
    tokens: int | None
    context: int | None
    images: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """How much of the context the prompt takes; 1.0 is all of it."""
        return self.tokens / self.context if self.tokens is not None and self.context else None

    def __repr__(self) -> str:
        shown = [f"with {image}" for image in self.images]
        return "\n".join([self.prompt, "", *shown, self._count()])

    def _count(self) -> str:
        if self.tokens is None:
            count = f"{self.model}: this server does not count tokens"
        else:
            count = f"{self.model}: {self.tokens:,} tokens"
        if self.context:
            part = f"{self.share:.1%} of" if self.share is not None else "there is"
            count += f", {part} a context of {self.context:,}"
        if self.images:
            count += "; what the pictures take is not counted, models differ in it"
        return count if self.is_whole else f"{count}; without the model's template"


def dry_run(request: Request) -> DryRun:
    """Return what a request would send.

    Raises
    ------
    OllamaNbError
        When there is no server or no such model, or if the model cannot be asked so.
    """
    connection = reachable()
    with translated(connection, request.model):
        rendered = _rendered(connection, request)
        text = request.prompt if rendered is None else rendered
        tokens = _count(connection, request.model, text, whole=rendered is not None)
        context = _context(connection, request)
    images = tuple(picture.caption for picture in _all_pictures(request))
    return DryRun(request.model, text, rendered is not None, tokens, context, images)


def _all_pictures(request: Request) -> list[Any]:
    """Return the pictures of all messages: a chat sends those of earlier turns too."""
    if request.verb == "generate":
        return request.pictures
    return [one for message in request.fields["messages"] for one in message.get("images") or ()]


def _rendered(connection: Connection, request: Request) -> str | None:
    """Let the server render; None if it does not know the field and would answer instead."""
    body = {**request.body(connection.extensions, stream=False), RENDER_ONLY: True}
    # A server without that field answers, so let that be short.
    body["options"] = {**(body.get("options") or {}), "num_predict": 1}
    answer = asked(connection, f"/api/{request.verb}", body)
    told: str | None = (answer.get("_debug_info") or {}).get("rendered_template")
    return told


def _count(connection: Connection, model: str, text: str, *, whole: bool) -> int | None:
    """Count tokens: of the template's control tokens as such, of what was typed as text."""
    import ollama

    body = {"model": model, "text": text, "parse_special": whole, "add_special": whole}
    try:
        return int(asked(connection, "/api/tokenize", body)["count"])
    except ollama.ResponseError as error:
        if error.status_code in (404, 405):
            return None
        raise


def _context(connection: Connection, request: Request) -> int | None:
    """Return the context of the model as it is loaded, or the smaller one that is asked for."""
    names = {request.model.casefold(), f"{request.model}:latest".casefold()}
    loaded = [
        entry.get("context_length")
        for entry in connection.listed("ps")
        if str(entry.get("name")).casefold() in names
    ]
    limits = [*loaded, (request.fields.get("options") or {}).get("num_ctx")]
    known = [int(limit) for limit in limits if limit]
    return min(known) if known else None
