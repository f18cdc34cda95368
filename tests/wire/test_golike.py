from __future__ import annotations

import pytest
from ollama_nb_server.wire.chat import ChatRequest
from ollama_nb_server.wire.embed import EmbedRequest
from ollama_nb_server.wire.errors import BadBody, BadInput, MissingBody, RequestError
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.golike import read


def generate(body: str | bytes) -> GenerateRequest:
    return read(GenerateRequest, body.encode() if isinstance(body, str) else body)


def test_names_match_in_any_letter_case_on_every_level() -> None:
    request = read(ChatRequest, b'{"MODEL":"m","Messages":[{"ROLE":"user","Content":"hi"}]}')

    assert (request.model, request.messages[0].content) == ("m", "hi")


@pytest.mark.parametrize(
    "body",
    ['{"model":"a","model":"b"}', '{"model":"a","MODEL":"b"}', '{"MODEL":"a","model":"b"}'],
)
def test_of_equal_names_the_last_one_counts(body: str) -> None:
    assert generate(body).model == "b"


def test_only_the_first_value_is_read() -> None:
    assert generate('{"model":"m"}{"model":"x"} and so on').model == "m"


def test_null_is_not_given() -> None:
    assert generate('{"model":null,"stream":null}') == generate("{}") == generate("null")


def test_unknown_fields_are_ignored() -> None:
    assert generate('{"model":"m","new":{"a":[1]}}').model == "m"


def test_the_keys_of_free_maps_keep_their_case() -> None:
    assert generate('{"options":{"Num_Ctx":1,"stop":null}}').options == {"Num_Ctx": 1, "stop": None}


def test_what_is_no_text_is_replaced_as_go_does() -> None:
    assert generate(b'{"prompt":"a\xffb"}').prompt == "a\ufffdb"
    assert generate('{"prompt":"a\\ud800b"}').prompt == "a\ufffdb"
    assert generate('{"prompt":"\\ud83d\\ude00"}').prompt == "\U0001f600"


@pytest.mark.parametrize("body", ["", " \n\t"])
def test_nothing_is_a_missing_body(body: str) -> None:
    with pytest.raises(MissingBody):
        generate(body)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{", "unexpected EOF"),
        ("foo", "invalid character 'o' in literal false (expecting 'a')"),
        ("[]", "json: cannot unmarshal array into Go value of type api.GenerateRequest"),
        ('{"model":5}', "json: cannot unmarshal number into Go struct field GenerateRequest.model of type string"),
        ('{"context":[1.5]}', "json: cannot unmarshal number into Go struct field GenerateRequest.context of type int"),
        ('{"options":[]}', "json: cannot unmarshal array into Go struct field GenerateRequest.options of type map[string]interface {}"),
        ('{"keep_alive":"5"}', 'time: missing unit in duration "5"'),
        ('{"keep_alive":"abc"}', 'time: invalid duration "abc"'),
        ('{"keep_alive":true}', "Unsupported type: 'bool'"),
        ('{"think":"xx"}', 'invalid think value: "xx" (must be "high", "medium", "low", "max", true, or false)'),
        ('{"images":["!!!"]}', "illegal base64 data at input byte 0"),
    ],
)  # fmt: skip
def test_bad_bodies_are_refused_in_gos_words(body: str, sentence: str) -> None:
    with pytest.raises(BadBody) as caught:
        generate(body)

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "body",
    ["\ufeff{}", "[" * 100_000, '{"a":' * 100_000, '{"stream":"no"}', '{"prompt":["x"]}', "{,}", '{"a":1,}', "NaN", "nul", '"'],
)  # fmt: skip
def test_every_other_bad_body_is_refused_too(body: str) -> None:
    with pytest.raises(RequestError):
        generate(body)


@pytest.mark.parametrize(
    ("given", "texts"),
    [("null", ()), ('""', ()), ("[]", ()), ('"a"', ("a",)), ('["a",""]', ("a", ""))],
)
def test_inputs_to_embed(given: str, texts: tuple[str, ...]) -> None:
    assert read(EmbedRequest, f'{{"input":{given}}}'.encode()).texts == texts


@pytest.mark.parametrize("given", ["5", "{}", "true", '["a",5]', "[1,2]"])
def test_other_inputs_are_refused(given: str) -> None:
    with pytest.raises(BadInput):
        _ = read(EmbedRequest, f'{{"input":{given}}}'.encode()).texts
