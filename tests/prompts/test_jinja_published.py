"""Published chat templates give the texts that transformers gives, which `jinja/transformers.json` records."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import pytest
from ollama_nb_server.prompts import jinja
from ollama_nb_server.prompts.errors import TemplateFailed

HERE = Path(__file__).parent / "jinja"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


published = _load(HERE / "published.py")
RECORD = json.loads((HERE / "transformers.json").read_text("utf-8"))
CONVERSATIONS = published.conversations()


def outcome(source: str, variables: dict[str, object]) -> str:
    try:
        return published.text_digest(jinja.render(source, variables, clock=lambda: published.NOW))
    except TemplateFailed as error:
        cause = error.__cause__
        if isinstance(cause, jinja.jinja2.TemplateError):
            return published.refusal_digest(error.reason)
        return published.failure(cause or error)


def differences(source: str, recorded: list[str]) -> dict[str, tuple[str, str]]:
    """By conversation: what transformers made of it, and what we make of it."""
    ours = [outcome(source, variables) for variables in CONVERSATIONS.values()]
    return {
        name: (theirs, mine)
        for name, theirs, mine in zip(CONVERSATIONS, recorded, ours, strict=True)
        if theirs != mine
    }


def sdist(config: pytest.Config) -> Path | None:
    """The engine's sources: where the environment says, or downloaded to pytest's cache."""
    named = os.environ.get("OLLAMA_NB_SDIST")
    if named:
        return Path(named)
    assert config.cache is not None
    return next(config.cache.mkdir("sdist").glob("llama_cpp_python-*.tar.gz"), None)


@pytest.fixture(scope="module")
def collection(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """llama.cpp's published templates; our own stand in where they are not at hand, but in CI."""
    found = sdist(request.config)
    if found is not None:
        return "published", published.templates_of(found)
    assert not os.environ.get("CI"), (
        "CI needs the published templates: pip download --no-deps --no-binary :all: "
        f"-d .pytest_cache/d/sdist {RECORD['sdist']}"
    )
    return "own", published.own_templates()


@pytest.mark.parametrize("name", sorted(published.own_templates()))
def test_what_published_templates_use_renders_as_in_transformers(name: str) -> None:
    source = published.own_templates()[name]

    assert differences(source, RECORD["own"][name]) == {}


def test_published_templates_render_as_in_transformers(
    collection: tuple[str, dict[str, str]],
) -> None:
    kind, templates = collection

    found = {name: differences(source, RECORD[kind][name]) for name, source in templates.items()}

    assert {name: different for name, different in found.items() if different} == {}


def test_the_record_has_every_template_and_conversation(
    collection: tuple[str, dict[str, str]],
) -> None:
    kind, templates = collection

    assert RECORD["conversations"] == list(CONVERSATIONS)
    assert sorted(RECORD["own"]) == sorted(published.own_templates())
    assert sorted(RECORD[kind]) == sorted(templates)
    assert len(RECORD["published"]) >= 60


def test_the_record_is_of_texts_more_than_of_refusals() -> None:
    rows = [row for kind in ("own", "published") for row in RECORD[kind].values()]
    outcomes = [outcome for row in rows for outcome in row]

    assert sum(" " not in outcome for outcome in outcomes) > 0.8 * len(outcomes)
