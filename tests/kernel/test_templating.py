"""Prompts with variables, and everything in braces that is none."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ollama_nb.asking.prompt_tables import table
from ollama_nb.asking.templating import Template, braced_variables, render
from ollama_nb.errors import BadTemplate, NotText

FRAME = pd.DataFrame({"city": ["Rome", "a|b\nc"], "size": [1.5, np.nan]})
VALUES = {"df": FRAME, "n": 2, "name": "Anna", "result": 7, "self": 8, "d": {"k": "v"}, "color": 1}

WRITTEN = [
    ("{{ n }} {{n}} {{ n + 1 }}", "2 2 3"),
    ("{{ result }}{{ self }}", "78"),  # names that Jinja's own code uses too
    ("{{ len(df) }} of {{ max(n, 5) }}", "2 of 5"),
    ("{{ d.k }} {{ d['k'] }} {{ {'a': {'b': n}} }}", "v v {'a': {'b': 2}}"),
    ("{{ name | upper }}", "ANNA"),
    (r"\textbf{{{ name }}}", r"\textbf{Anna}"),
    ('{{ "{{" }} n {{ "}}" }}', "{{ n }}"),
    ('{{ "a }} b" ~ n }}', "a }} b2"),
    ("{{ df }}", "| city | size |\n| --- | --- |\n| Rome | 1.5 |\n| a\\|b c | nan |"),
    ("{{ df[df['size'] > 1] }}", "| city | size |\n| --- | --- |\n| Rome | 1.5 |"),
    ("{{ df.city.tail(1) }}", "|  | city |\n| --- | --- |\n| 1 | a\\|b c |"),
    (
        "{{ df.set_index('city')['size'] }}",
        "| city | size |\n| --- | --- |\n| Rome | 1.5 |\n| a\\|b c | nan |",
    ),
]
LITERAL = [
    r"\frac{a}{b} \sqrt{{\bf x}} x^{{2}}",
    '{"a": {"b": 1}} {"c": {}}',
    'f"{x!r} {y:>{n}}"',
    "const a: {b: {c: number}} = {b: {c: 1}}",
    '<p style={{color: "red"}}>',
    "{{ .Name }} {{#if x}} {{/if}} {{}}",
    "{% for x in y %} {# note #} <% %>",
    "{{ never closed",
    "}} {",
]
REFUSED = [
    ("a\n{{ dff.head() }}", r"line 2, .*no variable 'dff'; did you mean 'df'\?"),
    ("{{ df.hed() }}", r"no attribute 'hed'; did you mean 'head'\?"),
    ("{{ d.j }}", "no attribute 'j'"),
    ("{{ df.head }}", r"df.head is a function: call it"),
    ("{{ df.head( }}", r"line 1: .*no expression"),  # meant as one: it begins with a variable
    ("{{ n", r"its }} is missing"),
    ("{{ n / 0 }}", "ZeroDivisionError"),
    ("{{ n | uper }}", "No filter named 'uper'"),
    ("{{ name.__class__.__mro__ }}", "unsafe"),
    ("{{ df.to_csv.__globals__ }}", "unsafe"),
    (r"\frac{{x}}{2}", "for literal braces"),
]


@pytest.mark.parametrize(("text", "expected"), WRITTEN)
def test_an_expression_becomes_its_value(text, expected):
    assert Template(text).render(VALUES).text == expected


@pytest.mark.parametrize("text", LITERAL)
def test_other_braces_stay(text):
    values = {name: value for name, value in VALUES.items() if name != "color"}

    assert Template(text, lenient=True).render(values).text == text


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_what_was_meant_and_fails_is_said(text, sentence):
    with pytest.raises(BadTemplate, match=sentence):
        Template(text, lenient=True).render(VALUES)


def test_a_template_that_says_so_takes_no_odd_braces():
    with pytest.raises(BadTemplate, match=r"line 2: \{\{ \.Name is no expression"):
        Template("a\n{{ .Name }}")
    with pytest.raises(NotText):
        render(3)


def test_the_names_are_what_is_needed():
    assert Template("{{ b.c }} {{ len(a) }} {{ b }} {x}").names == ("b", "a")
    assert Template("{{ max }} {{ max(x) }}").names == ("max", "x")  # a column may be called max


def test_a_long_table_says_what_is_left_out():
    long = pd.DataFrame({"x": range(1000), "text": ["word " * 20] * 1000})

    assert (
        "(the first 50 of 1,000 rows; the others are left out)"
        in Template("{{ l.x }}").render({"l": long}).text
    )
    assert (
        Template("{{ l | table(rows=3) }}").render({"l": long}).text.count("word word") // 10 == 3
    )
    capped = table(long, rows=1000, tokens=500)
    assert len(capped) < 500 * 3 + 100
    assert "of 1,000 rows" in capped


def test_a_cell_has_an_end():
    assert len(table(pd.DataFrame({"x": ["y" * 10_000]}))) < 600


def test_frames_of_polars_are_tables_too():
    import polars as pl

    frame = pl.DataFrame({"a": [1, 2]})

    assert table(frame) == table(frame["a"]) == "| a |\n| --- |\n| 1 |\n| 2 |"


def test_an_exception_is_its_traceback():
    with pytest.raises(IndexError) as caught:
        [][3]

    expected = "".join(traceback.format_exception(caught.value)).rstrip()
    assert render("Why? {{ error }}", error=caught.value).text == f"Why? {expected}"
    assert "IndexError" in expected


def test_a_path_is_its_file(tmp_path, monkeypatch):
    note, large, binary = tmp_path / "note.txt", tmp_path / "large.txt", tmp_path / "x.bin"
    note.write_text("Grüße {{ n }}", "utf-8")
    large.write_text("a" * 100_001)
    binary.write_bytes(b"\xff\xfe\x00")

    assert render("{{ note }}", note=note).text == "Grüße {{ n }}"  # a value is no template
    for path, sentence in (
        (large, "100.0 kB"),
        (binary, "no text"),
        (tmp_path, "cannot be read"),
        (Path("no"), "cannot be read"),
    ):
        with pytest.raises(BadTemplate, match=sentence):
            render("{{ path }}", path=path)


def test_pictures_go_with_the_prompt(tmp_path):
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(1, 1))
    axes = figure.add_subplot()
    image = Image.new("RGB", (2, 2), "red")
    image.save(tmp_path / "red.png")
    values = {"figure": figure, "axes": axes, "image": image, "path": tmp_path / "red.png"}

    rendered = render("{{ image }}, {{ figure }}, {{ image }}, {{ axes }}", values)

    assert rendered.text == "[image 1], [image 2], [image 1], [image 2]"
    assert [one.media_type for one in rendered.images] == ["image/png"] * 2
    assert render("{{ path }}", values).images[0].name == "red.png"


def test_nothing_is_imported_for_a_value():
    code = (
        "import sys\nfrom ollama_nb.asking.templating import render\n"
        "render('{{ x }}{{ y }}', x=1, y=[1, 2])\n"
        "print([name for name in ('pandas', 'numpy', 'PIL', 'matplotlib') if name in sys.modules])"
    )

    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        == "[]\n"
    )


def test_single_braces_around_a_variable_are_found():
    text = 'Tell {name} of {nobody}, ${n} and {{ n }}\nprint(f"{n}")'

    assert braced_variables(text, VALUES) == ["name"]


def test_pictures_in_the_texts_of_a_frame_that_cannot_have_them_are_errors():
    from ollama_nb.frames.prompts import prompt_texts, prompts_of

    frame = pd.DataFrame({"p": [Image.new("RGB", (2, 2))]})

    with pytest.raises(BadTemplate, match="the template has pictures"):
        prompt_texts(frame, "{{ p }}")
    (system,) = prompts_of(frame, "{{ p }}", "{{ p }}")
    assert "the system text has pictures" in str(system)
