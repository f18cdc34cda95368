"""JSON as Go reads it: what it makes of numbers, and its words for what is none."""

from __future__ import annotations

import json
import re

import pytest
from ollama_nb_server.prompts.parsing.gojson import decode


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1.0", "1"),
        ("-2.50", "-2.5"),
        ("1e3", "1000"),
        ("12345678901234567890", "12345678901234567000"),
        ("9007199254740993", "9007199254740992"),
        ("1e22", "1e+22"),
        ('"\\ud800x"', '"\\ufffdx"'),
        (' [1, {"a": null}]\n', '[1, {"a": null}]'),
    ],
)
def test_a_value_is_what_go_writes_again(text: str, written: str) -> None:
    assert json.dumps(decode(text)) == written


# Recorded from Ollama's `qwen3` parser.
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "unexpected end of JSON input"),
        ("oops", "invalid character 'o' looking for beginning of value"),
        ('{"a": 1', "unexpected end of JSON input"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
        ("{a: 1}", "invalid character 'a' looking for beginning of object key string"),
        ("[1 2]", "invalid character '2' after array element"),
        ('"a\n"', "invalid character '\\n' in string"),
        ('"\\d"', "invalid escape sequence `\\d` in string"),
        ("trud", "invalid character 'd' in literal true (expecting 'e')"),
        ("1.x", "invalid character 'x' in numeric literal"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("NaN", "invalid character 'N' looking for beginning of value"),
        ("é", "invalid character 'é' looking for beginning of value"),
    ],
)
def test_what_is_no_json_is_said_as_go_says_it(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        decode(text)
