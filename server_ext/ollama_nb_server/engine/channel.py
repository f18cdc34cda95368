"""How the protocol travels: a message is a JSON frame, vectors and images follow as raw frames.

Both ends use these two functions over ZeroMQ sockets; neither knows a native type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from ollama_nb_server.engine import messages
from ollama_nb_server.engine.errors import UnknownMessage

KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and kind.__module__ == messages.__name__
}

RAW = {"Embedded": "vectors", "Scored": "logprobs"}  # a field that is raw frames


def encode(*batch: Any) -> list[bytes]:
    """Messages as the frames of one multipart message."""
    frames: list[bytes] = []
    heads = [_head(message, frames) for message in batch]
    return [orjson.dumps(heads), *frames]


def _head(message: Any, frames: list[bytes]) -> list[Any]:
    kind = type(message).__name__
    if kind in RAW:
        raw = getattr(message, RAW[kind])
        frames += raw
        return [kind, replace(message, **{RAW[kind]: ()}), len(raw)]
    if kind == "Score":
        frames += [s.data for s in message.prompt if isinstance(s, messages.ImageSegment)]
        first, *others = message.prompts
        return [kind, replace(message, prompts=(tuple(map(_without_data, first)), *others))]
    if kind in ("Generate", "Tokenize"):
        frames += [s.data for s in message.prompt if isinstance(s, messages.ImageSegment)]
        return [kind, replace(message, prompt=tuple(map(_without_data, message.prompt)))]
    return [kind, message]  # orjson writes dataclasses itself


def decode(frames: Sequence[bytes]) -> list[Any]:
    """The messages of a multipart message.

    Raises
    ------
    UnknownMessage
        If one has a name that the protocol does not know.
    """
    blobs = iter(frames[1:])
    return [_message(head, blobs) for head in orjson.loads(frames[0])]


def _message(head: list[Any], blobs: Any) -> Any:
    kind = KINDS.get(head[0])
    if kind is None:
        raise UnknownMessage(head[0])
    values = head[1]
    if kind is messages.Delta:  # one for every token: a short way
        pieces = tuple(map(_logprob, values["logprobs"]))
        return messages.Delta(values["id"], values["text"], pieces)
    if head[0] in RAW:
        values[RAW[head[0]]] = tuple(next(blobs) for _ in range(head[2]))
    if "priority" in values:
        values["priority"] = messages.Priority(values["priority"])
    if "prompt" in values:
        values["prompt"] = [_segment(segment, blobs) for segment in values["prompt"]]
    if "public" in values:
        values["public"] = [_segment(segment, blobs) for segment in values["public"]]
    for name in {"prompts", "choices"} & values.keys():
        values[name] = [tuple(_segment(part, blobs) for part in parts) for parts in values[name]]
    if kind is messages.Scored:
        values["tokens"] = list(map(tuple, values["tokens"]))
    if kind is messages.Generate:
        values["sampling"] = messages.SamplingParams(**values["sampling"])
        grammar = values.get("grammar")
        values["grammar"] = grammar and messages.Grammar(**_frozen(grammar))
        thinking = values.get("thinking")
        values["thinking"] = thinking and messages.Thinking(**thinking)
    return kind(**_frozen(values))


def _without_data(segment: messages.Segment) -> Any:
    """JSON has no bytes: an image's are a frame of their own."""
    return {} if isinstance(segment, messages.ImageSegment) else segment


def _segment(values: Any, blobs: Any) -> messages.Segment:
    if not values:
        return messages.ImageSegment(next(blobs))
    if "text" in values:
        return messages.TextSegment(**values)
    return messages.TokenSegment(tuple(values["tokens"]))


def _logprob(values: Any) -> messages.Logprob:
    alternatives = tuple(_logprob(other) for other in values["alternatives"])
    return messages.Logprob(values["text"], values["logprob"], tuple(values["bytes"]), alternatives)


def _frozen(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
