"""A well-known chat template in a GGUF file gives the new model a Go template and stop texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFWriter
from ollama_nb_server.library.create import Recipe, create
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

NAME = ModelName.parse("made")
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WITH_TOOLS = CHATML + "{% if tools %}{{ tools | tojson }}{% endif %}"


def with_template(source: Path, target: Path, jinja: str) -> Path:
    """The bundled model with another chat template."""
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "tokenizer.chat_template"):  # fmt: skip
            outer, *inner = field.types
            writer.add_key_value(key, field.contents(), outer, inner[-1] if inner else None)
    writer.add_chat_template(jinja)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@pytest.fixture
def made(store: Store, demo_gguf: Path, tmp_path: Path):
    def make(jinja: str, **facts: object) -> list[str]:
        path = with_template(demo_gguf, tmp_path / "m.gguf", jinja)
        files = {"m.gguf": store.blobs.add_file(path).colon}
        recipe = Recipe(name=NAME, files=files, **facts)
        return [step.status for step in create(store, recipe) if not step.total]

    return make


def test_a_known_template_is_told_and_stored(store: Store, made) -> None:
    said = made(CHATML)
    model = store.model(NAME)

    assert said[3] == "using autodetected template chatml"
    assert model.parameters == {"stop": ["<|im_start|>", "<|im_end|>"]}
    assert [layer.kind for layer in model.manifest.layers] == ["model", "template", "params"]
    assert model.template is not None
    assert "<|im_start|>" in model.template


def test_what_the_request_says_wins(store: Store, made) -> None:
    made(CHATML, template="{{ .Prompt }}", parameters={"stop": ["x"]})

    assert (store.model(NAME).template, store.model(NAME).parameters) == (
        "{{ .Prompt }}",
        {"stop": ["x"]},
    )


def test_a_template_that_does_more_stays_the_files_own(store: Store, made) -> None:
    said = made(WITH_TOOLS)

    assert not [line for line in said if "autodetected" in line]
    assert store.model(NAME).template is None


def test_a_model_of_a_model_is_not_looked_at_again(store: Store, made) -> None:
    made(CHATML)
    steps = create(store, Recipe(name=ModelName.parse("second"), source=NAME))

    assert not [step for step in steps if "autodetected" in step.status]
