"""How small a context may be for a request that names none: its prompt and an answer must fit.

The prompt is not rendered yet, so this is more than it will take: a byte is at most a token.
"""

from __future__ import annotations

from ollama_nb_server.library.model import Model
from ollama_nb_server.wire.chat import ChatRequest
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.options import Options

ANSWER_TOKENS = 1024  # room for an answer whose length nobody has limited
TURN_TOKENS = 32  # what a template puts around a message
TEMPLATE_BYTES = 4  # a token of a template's own texts; most of it is no text at all


def least_ctx(request: ChatRequest | GenerateRequest, model: Model, options: Options) -> int:
    """Tokens that suffice for a request; 0: the context that it would be loaded with."""
    if "num_ctx" in options.given or _has_images(request):
        return 0
    answer = options.num_predict if options.num_predict >= 0 else ANSWER_TOKENS
    return _prompt_bytes(request) + _around(request, model) + answer


def _has_images(request: ChatRequest | GenerateRequest) -> bool:
    """An image takes tokens that only its projector can tell."""
    if isinstance(request, GenerateRequest):
        return bool(request.images)
    return any(message.images for message in request.messages or ())


def _prompt_bytes(request: ChatRequest | GenerateRequest) -> int:
    """All that is said in the request, whatever of it the template shows."""
    if isinstance(request, GenerateRequest):
        said = (request.system, request.template, request.prompt, request.suffix)
        return _bytes(*(text or "" for text in said)) + len(request.context or ())
    messages = request.messages or ()
    texts = [text for message in messages for text in (message.content, message.thinking or "")]
    others = [message.tool_calls for message in messages if message.tool_calls]
    return _bytes(*texts) + _bytes(*map(repr, [*others, *(request.tools or ())]))


def _around(request: ChatRequest | GenerateRequest, model: Model) -> int:
    """What the model's own texts add: its system text, its messages, its template."""
    turns = len(request.messages or ()) if isinstance(request, ChatRequest) else 1
    own = [model.system, *(str(message) for message in model.messages)]
    template = model.metadata.chat_template if model.uses_jinja else model.template or ""
    around = (turns + len(model.messages) + 2) * TURN_TOKENS
    return _bytes(*own) + _bytes(template) // TEMPLATE_BYTES + around


def _bytes(*texts: str) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in texts)
