"""The part of the other server that manages models: pull, push, create, blobs, show, copy, delete.

A name that holds `slow` takes 0.05 s a step, `broken` ends in an error line, `cut` ends without
success, `vanish` loses the connection and `nope` is unknown to the registry. A pull goes on where
the last one of that name was left.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYERS = {f"sha256:{'a' * 64}": 40_000_000, f"sha256:{'b' * 64}": 1_234}
PIECES = 20
SHOWN = {
    "modelfile": "# made up\nFROM /blobs/sha256-0\nADAPTER /blobs/lora\nTEMPLATE {{ .Prompt }}\n",
    "template": "{{ .Prompt }}",
    "parameters": 'num_ctx                        4096\nstop                           "<|end|>"\n'
    'stop                           "<b>"',
    "system": "Be <b>kind</b>.\nAnd brief.",
    "license": "MIT License <script>\nand so on",
    "details": {"family": "llama", "parameter_size": "1.2B", "quantization_level": "Q4_K_M"},
    "model_info": {
        "general.architecture": "llama",
        "general.parameter_count": 1_235_814_432,
        "llama.context_length": 131_072,
        "llama.embedding_length": 2048,
        "tokenizer.ggml.tokens": None,
    },
    "projector_info": {"general.architecture": "clip"},
    "capabilities": ["completion", "vision"],
}


class Models:
    """What the other server keeps of its models."""

    def __init__(self) -> None:
        self.names = ["other:latest"]
        self.blobs: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.pulled: dict[str, int] = {}
        self.begun_at: dict[str, list[int]] = {}

    def steps(self, verb: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The lines of a pull, a push or a create."""
        name = body["model"]
        work = {"pull": self._pull, "push": self._push, "create": self._create}[verb](name, body)
        for step in work:
            yield step
            time.sleep(0.05 if "slow" in name else 0)
        if "broken" in name:
            yield {"error": "no space left on device"}
        elif "cut" not in name:
            self.names = list(dict.fromkeys([*self.names, name]))
            yield {"status": "success"}

    def _pull(self, name: str, _: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"status": "pulling manifest"}
        if "nope" in name:
            yield {"error": "pull model manifest: file does not exist"}
            return
        for digest, total in LAYERS.items():
            yield from self._moved("pulling", digest, total, name)
        if "vanish" in name:
            raise ConnectionAbortedError
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}

    def _push(self, name: str, _: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"status": "retrieving manifest"}
        for digest, total in LAYERS.items():
            yield from self._moved("pushing", digest, total, f"push {name}")
        yield {"status": "pushing manifest"}

    def _moved(self, verb: str, digest: str, total: int, key: str) -> Iterator[dict[str, Any]]:
        step = {"status": f"{verb} {digest[7:19]}", "digest": digest, "total": total}
        key = f"{key} {digest[7:19]}"
        self.begun_at.setdefault(key, []).append(self.pulled.get(key, 0))
        yield step | ({"completed": self.pulled[key]} if key in self.pulled else {})
        for piece in range(self.pulled.get(key, 0) * PIECES // total, PIECES):
            self.pulled[key] = total * (piece + 1) // PIECES
            yield {**step, "completed": self.pulled[key]}

    def _create(self, _: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        named = {**body.get("files", {}), **body.get("adapters", {})}
        for digest in named.values():
            if digest not in self.blobs:
                yield {"error": f"open {digest}: no such file or directory"}
                return
            yield {"status": f"using existing layer {digest}"}
        yield {"status": "writing manifest"}

    def store(self, digest: str, data: bytes) -> tuple[int, dict[str, Any]]:
        """Take a blob; the status and body of the answer."""
        self.uploads.append(digest)
        true = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest != true:
            return 400, {"error": f'digest mismatch, expected "{digest}", got "{true}"'}
        self.blobs[digest] = data
        return 201, {}
