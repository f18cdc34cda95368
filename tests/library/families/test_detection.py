"""Jinja templates as models publish them, and others that look like them."""

import time
from pathlib import Path

import jinja2
import pytest
from ollama_nb_server.library.families import FAMILIES, detect
from ollama_nb_server.library.families.detection import MAX_TEMPLATE_CHARS

HERE = Path(__file__).parent
PLAIN = sorted((HERE / "plain").glob("*.jinja"))
OTHER = sorted((HERE / "other").glob("*.jinja"))

CHATML = (HERE / "plain" / "chatml--one-line.jinja").read_text("utf-8")
MARK = "<|im_start|>"
HOSTILE = {
    "nothing": "",
    "only a mark": MARK,
    "every mark": "".join(family.mark for family in FAMILIES),
    "a tag left open": MARK + "{% for message in messages %}",
    "an unknown tag": MARK + "{% generation %}{% endgeneration %}",
    "no tag at all": MARK + "{{ }} {% %}",
    "loops in loops": MARK + "{% for a in messages %}" * 9 + "x" + "{% endfor %}" * 9,
    "a long range": MARK + "{% for a in range(1000000000) %}x{% endfor %}",
    "a loop over a text": MARK + "{% set a = 'x' + 'y' %}{% for b in a %}x{% endfor %}",
    "a recursive loop": MARK + "{% for a in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "a recursive macro": MARK + "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "a text times a number": MARK + "{{ 'x' * 1000000000 }}",
    "a number to a power": MARK + "{{ 9 ** 9 ** 9 }}",
    "a text that doubles": MARK + "{% set a = 'x' %}" + "{% set a = a + a %}" * 60 + "{{ a }}",
    "a text that doubles by ~": MARK + "{% set a = 'x' %}" + "{% set a = a ~ a %}" * 60,
    "a list that doubles": MARK + "{% set a = [1] %}" + "{% set a = a + a %}" * 60 + "{{ a }}",
    "a list of itself": MARK + "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "a text written often": MARK
    + "{% set a = 'x' %}"
    + "{% set a = a + a %}" * 13
    + "{{ a }}" * 900,
    "wide formatting": MARK + "{{ '%1000000000d' % 1 }}",
    "wide formatting of a set text": MARK + "{% set a = '%1000000000d' %}{{ a % 1 }}",
    "a wide field": MARK + "{{ '{:1000000000}'.format(1) }}",
    "a wide filter": MARK + "{{ 'x' | center(1000000000) }}",
    "a way to python": MARK + "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a way by a filter": MARK + "{{ '' | attr('__class__') }}",
    "a long number": MARK + "{{ " + "9" * 5_000 + " }}",
    "deep brackets": MARK + "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}",
    "a deep sum": MARK + "{{ " + "1 + " * 1_900 + "1 }}",
    "deep conditions": MARK + "{% if 1 %}" * 300 + "{% endif %}" * 300,
    "a step of nothing": MARK + "{% for a in messages[::0] %}{% endfor %}",
    "a division by nothing": MARK + "{{ 1 % 0 }}",
    "a number for a text": MARK + "{{ 1 + 'x' }}",
    "half a character": MARK + "\ud800",
    "ten megabytes": MARK + "{{ 1 }}" * 1_500_000,
    "one character too many": CHATML.rstrip() + "{#" + "x" * MAX_TEMPLATE_CHARS + "#}",
}


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_a_plain_template_belongs_to_its_family(path):
    found = detect(text_of(path))

    assert found is not None
    assert found.key == path.stem.split("--")[0]


@pytest.mark.parametrize("path", OTHER, ids=lambda path: path.stem)
def test_a_template_that_does_something_else_belongs_to_none(path):
    jinja2.Environment().parse(text_of(path))

    assert detect(text_of(path)) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_or_broken_text_belongs_to_none_and_takes_no_time(name):
    began = time.perf_counter()

    found = detect(HOSTILE[name])

    assert found is None
    assert time.perf_counter() - began < 2


def test_every_family_has_a_published_style_that_is_recognised():
    assert {path.stem.split("--")[0] for path in PLAIN} == {family.key for family in FAMILIES}


def test_a_comment_changes_nothing():
    assert detect(CHATML + "{# written by hand #}") == detect(CHATML)


@pytest.mark.parametrize(
    ("eos_token", "name"), [(None, "zephyr"), ("</s>", "zephyr"), ("<|endoftext|>", None)]
)
def test_answers_must_end_with_the_token_that_the_go_template_has(eos_token, name):
    found = detect(text_of(HERE / "plain" / "zephyr--by-role.jinja"), eos_token=eos_token)

    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("bos_token", "name"), [(None, "llama2-chat"), ("<s>", "llama2-chat"), ("<bos>", None)]
)
def test_the_token_between_two_turns_must_be_the_one_that_the_go_template_has(bos_token, name):
    found = detect(text_of(HERE / "plain" / "llama2-chat--strip.jinja"), bos_token=bos_token)

    assert (found.name if found else None) == name


def test_the_token_at_the_beginning_is_the_tokenizers_own_business():
    text = text_of(HERE / "plain" / "chatml--opener-unset.jinja")

    assert detect(text, bos_token="<|any|>") == detect(text)
