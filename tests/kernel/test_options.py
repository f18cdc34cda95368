from __future__ import annotations

import pytest

from ollama_nb.connection.options import checked, parse_pairs
from ollama_nb.errors import MagicUsage, UnknownOption


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("seed=7", 7),
        ("temperature=0.5", 0.5),
        ("penalize_newline=false", False),
        ("note=two words", "two words"),
        ("note=a=b", "a=b"),
        ("note=", ""),
        ('grammar=root ::= "yes" | "no"', 'root ::= "yes" | "no"'),
    ],
)
def test_values_are_typed(pair, value):
    assert list(parse_pairs([pair]).values()) == [value]


@pytest.mark.parametrize(
    ("pairs", "stop"),
    [
        (["stop=END"], ["END"]),
        (["stop=END", "stop=7"], ["END", "7"]),
        (['stop=["a", "b"]'], ["a", "b"]),
    ],
)
def test_stop_is_a_list_of_texts(pairs, stop):
    assert parse_pairs(pairs) == {"stop": stop}


@pytest.mark.parametrize("pair", ["seed", "=7", ""])
def test_a_piece_without_name_or_value_is_refused(pair):
    with pytest.raises(MagicUsage, match="name=value"):
        parse_pairs([pair])


@pytest.mark.parametrize("name", ["tempratur", "num_predcit", "topk", "Temperature", "gramar"])
def test_a_misspelt_name_is_refused(name):
    with pytest.raises(UnknownOption, match="did you mean"):
        checked({name: 1})


def test_a_name_unlike_any_is_left_to_the_server():
    assert checked({"brand_new_thing": 1}) == {"brand_new_thing": 1}


def test_a_stop_string_becomes_a_list_and_the_input_stays():
    given = {"stop": "END"}

    assert checked(given) == {"stop": ["END"]}
    assert given == {"stop": "END"}
