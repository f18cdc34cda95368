"""The config of a new model: what the request says, what is inherited, what the weights say.

In this order, as Ollama has it, since the config's digest depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ollama_nb_server.library.create.defaults import defaults_of
from ollama_nb_server.library.create.recipe import Recipe, facts
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.manifest import Config


def configured(recipe: Recipe, base: Config, weights: Sequence[GGUFMetadata]) -> Config:
    """The config; `base` is that of the model it is made from (empty: made from files)."""
    told = facts(recipe.info)
    defaults = defaults_of(weights[-1]) if weights else defaults_of(None)
    families = [told["model_family"]] if told.get("model_family") else []
    families += [metadata.architecture for metadata in weights]
    return Config(
        model_format=base.model_format or ("gguf" if weights else ""),
        model_families=tuple(families) or None,
        renderer=recipe.renderer or base.renderer or defaults.renderer,
        parser=recipe.parser or base.parser or defaults.parser,
        requires=recipe.requires or base.requires,
        capabilities=(*base.capabilities, *told.pop("capabilities", ())),
        **{**_of_weights(weights), **{key: value for key, value in told.items() if value}},
    )


def _of_weights(weights: Sequence[GGUFMetadata]) -> dict[str, Any]:
    """What the first of them says of itself."""
    if not weights:
        return {}
    return {
        "model_family": weights[0].architecture,
        "model_type": weights[0].parameter_size,
        "file_type": weights[0].file_type,
    }
