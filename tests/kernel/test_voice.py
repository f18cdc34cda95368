"""What is said to a caller who made a mistake: whose it is, in one line, and what to do."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from cells import eventually

import ollama_nb
from ollama_nb import errors
from ollama_nb.answers.statistics import full_name
from ollama_nb.errors import BadMessage, BadValue, NoPrompt, NotText, ServerWarning
from ollama_nb.frames import errors as frame_errors
from ollama_nb.magics.asking import AskingMagics
from ollama_nb.magics.line import read
from ollama_nb.tools import errors as tool_errors


@pytest.mark.parametrize("module", [errors, tool_errors, frame_errors])
def test_every_exception_and_warning_is_public(module):
    ours = {
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, BaseException)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }

    assert ours - set(ollama_nb.__all__) == set()


def test_models_are_managed_by_the_names_of_the_command_line(ollama_server):
    ollama_nb.connect(ollama_server.url)
    ollama_nb.generate("one", model="demo", options={"num_predict": 1})
    ollama_nb.cp("demo", "second")
    assert "second:latest" in ollama_nb.models().index
    ollama_nb.rm("second")

    assert ollama_nb.stop("demo") == "demo"
    assert "second:latest" not in ollama_nb.models().index
    eventually(lambda: "demo:latest" not in ollama_nb.ps().index, "it is unloaded")


def test_the_magic_has_the_long_names_too(cells, other_for_cells):
    assert "is also called" in cells.run("%ollama copy other:latest second").stdout
    assert "is removed" in cells.run("%ollama remove second").stdout
    assert other_for_cells.models == ["other:latest"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ollama_nb.generate(""), "the prompt is empty"),
        (lambda: ollama_nb.generate("  \n"), "the prompt is empty"),
        (lambda: ollama_nb.chat(""), "there is no message"),
        (lambda: ollama_nb.chat([]), "there is no message"),
        (lambda: ollama_nb.embed(None), "embed() takes a text, a list of texts or a column"),
        (lambda: ollama_nb.embed(pd.DataFrame({"a": ["x"]})), "embed() takes a text, a list"),
        (lambda: ollama_nb.generate(pd.Series(["a"])), "s.llm.generate"),
        (lambda: ollama_nb.generate(["a"]), "s.llm.generate"),
        (lambda: ollama_nb.generate(pd.DataFrame({"a": ["x"]})), "df.llm"),
    ],
)
def test_what_is_missing_or_too_much_is_said_and_nobody_is_asked(connected, call, words):
    with pytest.raises((NoPrompt, BadMessage, NotText)) as raised:
        call()

    assert words in str(raised.value)
    assert connected.requests == []


def test_an_empty_prompt_before_a_gap_is_one(connected):
    ollama_nb.generate("", suffix="after it")

    assert connected.requests[-1]["suffix"] == "after it"


@pytest.mark.parametrize("magic", ["%%chat", "%%generate"])
def test_a_blank_cell_says_what_is_missing(cells, magic):
    run = cells.run(f"{magic}\n  \n")

    assert f"write the prompt below {magic}" in run.error["evalue"]


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float64("nan"), np.float32("inf")])
@pytest.mark.parametrize(
    "call",
    [
        lambda value: ollama_nb.generate("one", temperature=value),
        lambda value: ollama_nb.chat("one", options={"top_p": value}),
        lambda value: ollama_nb.embed(["one"], options={"top_p": value}),
        lambda value: ollama_nb.generate("one", keep_alive=value),
        lambda value: ollama_nb.embed(["one"], keep_alive=value),
    ],
)
def test_no_number_is_refused_by_name_and_not_blamed_on_the_server(connected, call, value):
    with pytest.raises(BadValue, match=r"(temperature|top_p|keep_alive) is (nan|inf), which"):
        call(value)


def test_what_is_no_value_at_all_is_refused_by_name(connected):
    with pytest.raises(BadValue, match="the option seed is of type object"):
        ollama_nb.generate("one", options={"seed": object()})


def test_numbers_of_numpy_are_numbers(connected):
    options = {"top_k": np.int64(3), "top_p": np.float32(0.5), "penalize_newline": np.bool_(True)}

    ollama_nb.generate("one", seed=np.int64(7), options=options, keep_alive=np.int32(9))

    body = connected.requests[-1]
    assert body["options"] == {"top_k": 3, "top_p": 0.5, "penalize_newline": True, "seed": 7}
    assert body["keep_alive"] == 9
    ollama_nb.embed(["one"], dimensions=np.int64(2))
    assert connected.requests[-1]["dimensions"] == 2


def test_a_lone_surrogate_is_sent(connected):
    ollama_nb.embed(["a \ud800 b"])

    assert connected.requests[-1]["input"] == ["a \ud800 b"]


def test_a_model_has_one_name_in_the_statistics(connected, cells):
    for model in ("other", "other:latest", None):
        ollama_nb.generate("one", model=model)

    assert ollama_nb.stats()["model"].tolist() == ["other:latest"] * 3
    assert full_name("host:5000/a/b") == "host:5000/a/b:latest"
    cells.run("%generate one")
    assert cells.run("%stats -m other").status == "ok"


@pytest.mark.parametrize("word", ["--temp", "--temper", "--temperature", "-t"])
def test_an_option_may_be_shortened_as_argparse_has_it(word):
    asked = read(f"{word} 0.5 hello there", AskingMagics.generate.parser)

    assert (asked.options.temperature, asked.text) == (0.5, "hello there")


def test_warnings_show_no_line_of_ours_and_once_a_cell(cells, other_for_cells):
    other_for_cells.warning = "mirostat has no effect here"
    code = "%generate one\n%generate two"

    runs = [cells.run(code), cells.run(code)]

    other_for_cells.warning = ""
    shown = [run.contents("stream") for run in runs]
    line = "ollama_nb:0: ServerWarning: mirostat has no effect here\n"
    assert ["".join(one["text"] for one in stream) for stream in shown] == [line, line]


def test_filters_hold_for_our_warnings(connected):
    connected.warning = "mirostat has no effect here"

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", ServerWarning)
        ollama_nb.generate("one")

    assert caught == []


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ('ollama_nb.generate("hello", model="nope")', "ModelNotFound"),
        ('ollama_nb.generate("one vanish")', "ServerWentAway"),
        ('ollama_nb.embed(["a", 3])', "NotText"),
    ],
)
def test_a_traceback_has_the_callers_frames_only(cells, code, name):
    run = cells.run(f"import ollama_nb\ndef mine():\n    return {code}\nmine()")

    shown = "\n".join(run.error["traceback"])
    assert run.error["ename"] == name
    assert "mine()" in shown
    assert "site-packages" not in shown
    assert "ollama_nb/" not in shown
    assert "The above exception" not in shown


def test_the_cause_is_still_there_for_programs(connected):
    with pytest.raises(errors.ServerWentAway) as raised:
        ollama_nb.generate("one vanish")

    assert raised.value.__cause__ is not None
