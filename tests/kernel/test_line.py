from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

from ollama_nb.errors import MagicUsage
from ollama_nb.magics.asking import AskingMagics
from ollama_nb.magics.line import read
from ollama_nb.magics.managing import ManagingMagics
from ollama_nb.magics.subcommands import SUBCOMMANDS

PARSER = AskingMagics(InteractiveShell()).generate.parser


@pytest.mark.parametrize(
    ("line", "text", "bind"),
    [
        ("hello", "hello", None),
        ('  it\'s "fine"  ', 'it\'s "fine"', None),
        ("hello -> x", "hello", "x"),
        ("hello ->größe", "hello", "größe"),
        ("-> x", "", "x"),
        ("a -> b -> c", "a -> b", "c"),
        ("a->b", "a->b", None),
        ("-- -m is an option", "-m is an option", None),
        ("-t 0 -- -x", "-x", None),
        ("-t 0 2 - 3 = ?", "2 - 3 = ?", None),
        ("--temperature=0 hello", "hello", None),
        ("", "", None),
    ],
)
def test_the_text_and_the_name(line, text, bind):
    asked = read(line, PARSER)

    assert (asked.text, asked.bind) == (text, bind)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("-m demo hi", {"model": "demo"}),
        ("--model demo hi", {"model": "demo"}),
        ("--model=demo hi", {"model": "demo"}),
        ("-t -1 hi", {"temperature": -1.0}),
        ("--system 'Be brief.' hi", {"system": "Be brief."}),
        ('--system="Be brief." hi', {"system": "Be brief."}),
        ('-o stop="a b" -o seed=1 hi', {"option": ["stop=a b", "seed=1"]}),
        ('--schema "name, age int" hi', {"schema": "name, age int"}),
        ("--schema='note \"a, b\"' hi", {"schema": 'note "a, b"'}),
        ("--schema list[Person] hi", {"schema": "list[Person]"}),
        ("--format json hi", {"format": "json"}),
        ("--suffix 'return x' hi", {"suffix": "return x"}),
        ("--fill [GAP] hi", {"fill": "[GAP]"}),
        ("-o grammar='root ::= \"a\"' hi", {"option": ['grammar=root ::= "a"']}),
        ("-o seed=1 -m demo", {"option": ["seed=1"], "model": "demo"}),
    ],
)
def test_the_options(line, options):
    asked = vars(read(line, PARSER).options)

    assert {name: asked[name] for name in options} == options


@pytest.mark.parametrize(
    "line",
    ["-x hi", "-m", "--format xml hi", "--schema", "-t warm hi", "--modl demo hi", "hi ->", "->"],
)
def test_what_is_not_understood_is_said(line):
    with pytest.raises(MagicUsage):
        read(line, PARSER)


@pytest.mark.parametrize("word", SUBCOMMANDS)
def test_every_subcommand_is_in_the_manual(word):
    manual = ManagingMagics.ollama.__doc__

    assert f"\n{word} " in manual
