from __future__ import annotations

import re

import pytest
from other_models import SHOWN

import ollama_nb
from ollama_nb.errors import ModelNotFound
from ollama_nb.managing.card import ModelCard
from ollama_nb.managing.describing import card

TAGS = {
    "name": "big:latest",
    "size": 4_700_000_000,
    "digest": "abc",
    "modified_at": "2026-01-02T03:04:05.120304056Z",
}


@pytest.fixture
def shown() -> ModelCard:
    return card("big", SHOWN, TAGS)


def test_the_facts_are_there_by_name(shown):
    assert (shown.name, shown.architecture, shown.quantization) == ("big:latest", "llama", "Q4_K_M")
    assert (shown.context_length, shown.embedding_length) == (131_072, 2048)
    assert (shown.parameter_size, shown.parameter_count) == ("1.2B", 1_235_814_432)
    assert (shown.size_bytes, shown.digest) == (4_700_000_000, "abc")
    assert shown.capabilities == ("completion", "vision")
    assert shown.parameters == {"num_ctx": 4096, "stop": ["<|end|>", "<b>"]}
    assert (shown.projector, shown.adapters) == ("clip", ("/blobs/lora",))


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("2026-01-02T03:04:05.120304056Z", "2026-01-02T04:04:05.120304+01:00"),
        ("2026-07-02T03:04:05.12Z", "2026-07-02T05:04:05.120000+02:00"),
        ("2026-07-02T03:04:05+05:00", "2026-07-02T00:04:05+02:00"),
        ("2026-01-02", "2026-01-02T01:00:00+01:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:43:00+00:43"),  # never, to a server in Go
        ("9999-12-31T23:59:59Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_moments_are_told_in_local_time(told, meant, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Oslo")

    moment = card("big", SHOWN, {**TAGS, "modified_at": told}).modified_at

    assert (moment and moment.isoformat()) == meant


def test_it_is_a_mapping_too(shown):
    assert shown["capabilities"] == ("completion", "vision")
    assert shown["llama.context_length"] == 131_072
    assert dict(shown)["template_kind"] == "Go"
    assert len(shown) == len(list(shown))
    with pytest.raises(KeyError):
        _ = shown["nonsense"]


def test_it_is_a_series_where_one_is_wanted(shown):
    series = shown.to_series()

    assert (series.name, series["quantization"]) == ("big:latest", "Q4_K_M")
    assert "requires" not in series.index


@pytest.mark.parametrize(
    ("template", "kind"),
    [
        ("{{ .Prompt }}", "Go"),
        ("{%- for message in messages %}{{ message }}{% endfor %}", "Jinja"),
        (None, None),
    ],
)
def test_the_template_tells_its_kind(template, kind):
    assert ModelCard("x", template=template).template_kind == kind


def test_its_text_is_a_table(shown):
    lines = repr(shown).splitlines()

    assert lines[0] == "big:latest"
    for line in (
        "capabilities      completion, vision",
        "size              4.7 GB",
        "parameters        1.2B (1,235,814,432)",
        "context length    131,072 tokens",
        "projector         clip",
        "settings          num_ctx 4096, stop '<|end|>', stop '<b>'",
        "license           MIT License <script>",
        "system            Be <b>kind</b>.…",
        "template (Go)     {{ .Prompt }}",
    ):
        assert f"  {line}" in lines


def test_nothing_of_a_model_is_markup(shown):
    page = shown._repr_html_()

    assert "&lt;script&gt;" in page
    assert "Be &lt;b&gt;kind&lt;/b&gt;." in page
    tags = set(re.findall(r"<(\w+)", page))
    assert tags <= {"div", "strong", "table", "tr", "th", "td", "details", "summary", "code", "pre"}


@pytest.mark.parametrize("told", [{}, {"details": None, "model_info": None, "parameters": None}])
def test_a_server_that_tells_nothing_gives_an_empty_card(told):
    empty = card("x", told, {})

    assert repr(empty) == "x"
    assert empty.to_series().to_dict() == {"name": "x"}


def test_a_printed_modelfile_that_cannot_be_read_again_tells_no_adapters():
    assert card("x", {"modelfile": 'FROM a\nSYSTEM "never closed'}, {}).adapters == ()


def test_show_asks_the_server(connected):
    assert ollama_nb.show("other").name == "other:latest"
    assert ollama_nb.show("other:latest").license.startswith("MIT")
    with pytest.raises(ModelNotFound, match="other:latest"):
        ollama_nb.show("nope")


def test_in_a_cell_it_is_html_and_text(cells):
    (content,) = cells.run("%ollama show other").contents("execute_result")

    assert "<table" in content["data"]["text/html"]
    assert content["data"]["text/plain"].startswith("other:latest\n")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--modelfile", SHOWN["modelfile"]),
        ("--template", "{{ .Prompt }}\n"),
        ("--system", "Be <b>kind</b>.\nAnd brief.\n"),
        ("--license", "MIT License <script>\nand so on\n"),
        ("--parameters", "num_ctx 4096\nstop <|end|>\nstop <b>\n"),
    ],
)
def test_one_text_can_be_printed_alone(cells, option, text):
    assert cells.run(f"%ollama show other {option}").stdout == text
    assert cells.run(f"%ollama show {option} other").stdout == text


def test_a_text_that_is_not_there_is_told(cells, ollama_server):
    cells.run(f"%ollama connect {ollama_server.url}")
    try:
        run = cells.run("%ollama show demo --license")
        assert run.error["traceback"] == ["MagicUsage: demo:latest has no license"]
        assert "Jinja" in cells.run("%ollama show demo").result
    finally:
        cells.run("%ollama connect")


def test_what_the_server_has_to_say_besides_is_shown():
    told = card("m", {}, {}, ("This is <old>.", "Pull it again."))

    assert "note  This is <old>. Pull it again." in repr(told)
    assert "This is &lt;old&gt;. Pull it again." in told._repr_html_()
