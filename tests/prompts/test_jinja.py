from __future__ import annotations

from datetime import datetime

import pytest
from ollama_nb_server.prompts import jinja
from ollama_nb_server.prompts.errors import TemplateFailed


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ messages[0].content }}", "hi"),
        ("{% for m in messages %}\n{{ m.role }}\n{% endfor %}", "user\n"),
        ("  {%- if tools is none %}none{% endif %}", "none"),
        ("{{ data | tojson }}", '{"b": "é<", "a": [1, null]}'),
        ("{{ data | tojson(indent=1) }}", '{\n "b": "é<",\n "a": [\n  1,\n  null\n ]\n}'),
        ("{{ strftime_now('%Y') }}", "2026"),
        ("{% generation %}kept{% endgeneration %}", "kept"),
        (
            "{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "13",
        ),
        (
            "{% set n = namespace(a=0) %}{% for i in [1, 2] %}{% set n.a = i %}{% endfor %}{{ n.a }}",
            "2",
        ),
    ],
)
def test_what_model_authors_write_renders(source: str, text: str) -> None:
    variables = {
        "messages": [{"role": "user", "content": "hi"}],
        "tools": None,
        "data": {"b": "é<", "a": [1, None]},
    }

    assert jinja.render(source, variables, clock=lambda: datetime(2026, 5, 4)) == text


def test_a_template_that_does_not_parse_names_the_line() -> None:
    with pytest.raises(TemplateFailed) as caught:
        jinja.render("one\n{% if %}", {})

    assert caught.value.line == 2


def test_a_template_may_refuse_a_conversation() -> None:
    with pytest.raises(TemplateFailed, match="only users"):
        jinja.render("{{ raise_exception('only users') }}", {})


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ messages.append(1) }}",
        "{% for i in range(999999999) %}x{% endfor %}",
        "{{ undefined_thing.attribute }}",
        "{{ 1 / 0 }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_hostile_and_broken_templates_fail_with_one_error(source: str) -> None:
    with pytest.raises(TemplateFailed):
        jinja.render(source, {"messages": []})
