"""Modelfiles: the tables of reference/ollama-models.md 4.2 to 4.5."""

import json

import pytest
from ollama_nb_server.library import gojson
from ollama_nb_server.library.errors import BadModelfile
from ollama_nb_server.library.modelfile import parse, quoted
from ollama_nb_server.library.modelfile.scanner import Scanner, text_of

COMMANDS = '"from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", "message", or "requires"'


def values(text: str) -> list[str]:
    return [command.value for command in Scanner(text).commands()]


def test_every_command_is_read():
    modelfile = parse(
        "FROM base\nADAPTER @sha256:00\nDRAFT small\nTEMPLATE {{ .Prompt }}\nSYSTEM be kind\n"
        "RENDERER qwen3-coder\nPARSER qwen3-coder\nREQUIRES v0.14.0\nLICENSE one\nLICENSE two\n"
        "MESSAGE user hi\nMESSAGE assistant hello there\nPARAMETER stop a b\nPARAMETER stop c\n"
        "PARAMETER num_ctx 512\nPARAMETER temperature 0.7\nPARAMETER use_mmap false\n"
    )

    assert modelfile.sources == ["base"]
    assert (modelfile.adapters, modelfile.drafts) == (["@sha256:00"], ["small"])
    assert (modelfile.template, modelfile.system) == ("{{ .Prompt }}", "be kind")
    assert (modelfile.renderer, modelfile.parser) == ("qwen3-coder", "qwen3-coder")
    assert (modelfile.requires, modelfile.licenses) == ("0.14.0", ["one", "two"])
    assert modelfile.messages[1] == {"role": "assistant", "content": "hello there"}
    assert modelfile.parameters == {
        "stop": ["a b", "c"],
        "num_ctx": 512,
        "temperature": 0.7,
        "use_mmap": False,
    }


def test_commands_are_words_in_any_case_and_the_last_one_counts():
    modelfile = parse("from a\nFrom b\n  system one\nSYSTEM two\r\nsYsTeM three")

    assert modelfile.sources == ["a", "b"]
    assert modelfile.system == "three"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("FROM llama3 # x", "llama3 # x"),
        ('SYSTEM """a\nb"""', "a\nb"),
        ('SYSTEM "a\nb"', "a\nb"),
        ('SYSTEM """"', None),
        ('SYSTEM """say "hi" now"""', 'say "hi" now'),
        ('SYSTEM say "hi" now', 'say "hi" now'),
        ("SYSTEM 'a", "'a"),
        ("SYSTEM  \t padded \t", "padded"),
        ("SYSTEM \nFROM a", ""),
        ("SYSTEM a\tb", "a\tb"),
        ("SYSTEM bell\x07 nbsp\u00a0 emoji🙂", "bell nbsp emoji🙂"),
        ('SYSTEM """\nline\n"""', "\nline\n"),
        ("# SYSTEM no\n  # nor this\nSYSTEM yes", "yes"),
        ("SYSTEM a\rFROM b", "a"),
    ],
)
def test_values(text: str, value: str | None):
    if value is None:
        with pytest.raises(BadModelfile, match="unexpected EOF"):
            values(text)
    else:
        assert values(text)[0] == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no FROM line"),
        ("SYSTEM hi", "no FROM line"),
        ("FOO bar", f"(line 1): command must be one of {COMMANDS}"),
        ("FROM a\nFOO bar", f"(line 2): command must be one of {COMMANDS}"),
        ("FROM\nmodel", f"(line 2): command must be one of {COMMANDS}"),
        ("FR0M a", f"(line 1): command must be one of {COMMANDS}"),
        ("FROM", f"(line 1): command must be one of {COMMANDS}"),
        (
            "MESSAGE tool hi",
            '(line 1): message role must be one of "system", "user", or "assistant"',
        ),
        (
            "MESSAGE User hi",
            '(line 1): message role must be one of "system", "user", or "assistant"',
        ),
        ('FROM a\nSYSTEM "open', "(line 2): unexpected EOF"),
        ('FROM a\nSYSTEM """x""" y', "(line 2): unexpected EOF"),
        ("FROM a\nPARAMETER num-ctx 1", "(line 2): unexpected EOF: num"),
        ("FROM a\nPARAMETER num_ctx", "(line 2): unexpected EOF: num_ctx"),
        ("FROM a\nPARAMETER num_ctx 1.5", "(line 2): invalid int value [1.5]"),
        ("FROM a\nPARAMETER temperature hot", "(line 2): invalid float value [hot]"),
        ("FROM a\nPARAMETER use_mmap yes", "(line 2): invalid bool value [yes]"),
        ("FROM a\nPARAMETER foo 1", "(line 2): unknown parameter 'foo'"),
        ("FROM a\nREQUIRES soon", "(line 2): requires must be a valid semver (e.g. 0.14.0)"),
    ],
)
def test_errors_say_what_and_where(text: str, sentence: str):
    with pytest.raises(BadModelfile) as refusal:
        parse(text)

    assert str(refusal.value) == sentence


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(encoding: str):
    assert parse(text_of("FROM a\nSYSTEM é".encode(encoding))).system == "é"


def test_floats_are_printed_with_32_bits():
    parameters = parse("FROM a\nPARAMETER top_p 0.123456789\nPARAMETER temperature 1").parameters

    assert gojson.encode(parameters, sort_keys=True) == b'{"temperature":1,"top_p":0.12345679}\n'


def test_names_of_2023_are_taken_and_told():
    modelfile = parse("FROM a\nPARAMETER low_vram true\nPARAMETER mirostat 2")

    assert modelfile.without_effect == ["low_vram"]
    assert modelfile.parameters == {"mirostat": 2}


@pytest.mark.parametrize(
    "text", ["plain", "two\nlines", ' "quoted" and\nlong ', "ends ", "", 'says "hi"', "a\tb"]
)
def test_what_is_printed_is_read_again(text: str):
    assert parse(f"FROM a\nSYSTEM {quoted(text)}").system == text


def test_a_conversation_survives_as_json():
    messages = parse('FROM a\nMESSAGE user "two\nlines"').messages

    assert json.loads(gojson.encode(messages)) == [{"role": "user", "content": "two\nlines"}]


def test_a_text_of_very_many_lines_is_read_once() -> None:
    text = "x\n" * 400_000

    assert parse(f'FROM a\nLICENSE """{text}"""').licenses == [text]
