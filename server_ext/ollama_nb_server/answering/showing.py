"""A model as the documents that show, tags and ps answer with: fields in their order, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ollama_nb_server.library.details import Details
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.gosyntax import parameter_lines
from ollama_nb_server.library.manifest import Config
from ollama_nb_server.library.model import Entry, Model
from ollama_nb_server.library.modelfile import render
from ollama_nb_server.wire.models import ShowRequest
from ollama_nb_server.wire.times import local

HIDDEN_KEYS = ("general.name", "tokenizer.chat_template")
DEFAULT_TEMPLATE = "{{ .Prompt }}"
COPILOT = "GitHubCopilotChat/"  # takes the name of a model from its metadata


def details(of: Details) -> dict[str, Any]:
    """The six fields that tags, show and ps share."""
    return {
        "parent_model": of.parent_model,
        "format": of.format,
        "family": of.family,
        "families": of.families,
        "parameter_size": of.parameter_size,
        "quantization_level": of.quantization_level,
    }


def remote(config: Config) -> dict[str, str]:
    """Where a model in the cloud is; nothing for one that is here."""
    return _given({"remote_model": config.remote_model, "remote_host": config.remote_host})


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty."""
    return {name: value for name, value in fields.items() if value}


def shown(model: Model, request: ShowRequest, agent: str = "") -> dict[str, Any]:
    """All of `show` (reference/ollama-http-api.md 10.2); `agent` is the program that asks."""
    system = request.system or model.system
    jinja = model.metadata.chat_template if model.uses_jinja else ""
    return {
        **_given({"license": "\n".join(model.licenses)}),
        "modelfile": render(model, system, {**model.parameters, **(request.options or {})}),
        **_given({"parameters": parameter_lines(model.parameters)}),
        "template": jinja or model.template or DEFAULT_TEMPLATE,
        **_given({"system": system}),
        "details": details(model.details),
        **_given({"messages": _messages(model.messages)}),
        "model_info": _model_info(model.metadata, request, agent),
        **_given({"projector_info": _projector_info(model.projector, request)}),
        **_given({"tensors": _tensors(model.metadata)}),
        **_given({"capabilities": model.capabilities}),
        "modified_at": local(model.modified_at),
        **_given({"requires": model.config.requires}),
    }


def shown_remote(entry: Entry) -> dict[str, Any]:
    """What is known here of a model in the cloud: its config."""
    config, family = entry.config, entry.config.model_family
    info = {
        "general.architecture": family,
        "general.basename": config.base_name,
        f"{family}.context_length": config.context_length,
        f"{family}.embedding_length": config.embedding_length,
    }
    return {
        "details": details(entry.details),
        **remote(config),
        "model_info": _given(info) if family else {},
        **_given({"capabilities": entry.capabilities}),
        "modified_at": local(entry.modified_at),
        **_given({"requires": config.requires}),
    }


def _messages(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{"role": m.get("role", ""), "content": m.get("content", "")} for m in messages]


def _model_info(header: GGUFMetadata, request: ShowRequest, agent: str) -> dict[str, Any]:
    items = header.items(arrays=bool(request.verbose))
    info = {key: value for key, value in items if key not in HIDDEN_KEYS}
    info["general.parameter_count"] = header.parameter_count
    if agent.startswith(COPILOT):
        info["general.basename"] = request.asked
    return dict(sorted(info.items()))


def _projector_info(header: GGUFMetadata | None, request: ShowRequest) -> dict[str, Any]:
    if header is None:
        return {}
    return dict(sorted(header.items(arrays=bool(request.verbose))))


def _tensors(header: GGUFMetadata) -> list[dict[str, Any]]:
    return [{"name": t.name, "type": t.type_name, "shape": t.shape} for t in header.tensors]
