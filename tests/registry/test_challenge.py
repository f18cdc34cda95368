"""A registry's demand for a token: how it is read, and what is asked and signed for it."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from ollama_nb_server.registry.challenge import Challenge, nonce, to_be_signed
from ollama_nb_server.registry.errors import RealmElsewhere, UnexpectedAnswer

HEADER = 'Bearer realm="https://h/token",service="s",scope="repository:u/m:pull,push"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (HEADER, ("https://h/token", "s", "repository:u/m:pull,push")),
        ('Bearer scope="a b",realm="r"', ("r", "", "a b")),
        ('Bearer realm="a"b",service="c"', ('a"b', "c", "")),
        ("Bearer", ("", "", "")),
        ('Bearer realm="never ends', ("never ends", "", "")),
    ],
)
def test_a_challenge_is_read_as_ollama_reads_it(header: str, expected: tuple[str, ...]) -> None:
    assert read(header) == expected


def read(header: str) -> tuple[str, ...]:
    challenge = Challenge.parse(header)
    assert challenge is not None
    return (challenge.realm, challenge.service, challenge.scope)


@pytest.mark.parametrize(
    "header",
    [
        # other letters, blanks and tabs around commas and equal signs, empty elements
        'bearer realm="R",service="S",scope="A B"',
        'BEARER  Realm = "R" , SERVICE\t=\t"S"\t,scope= "A B"',
        ', ,Bearer realm="R",,service="S", ,scope="A B",',
        # a value without quotes is a token, or what registries send instead
        'Bearer realm=R,service=S,scope="A B"',
        'Bearer realm=R , service = S ,scope="A B"',
        # a quoted text: escapes, and commas or equal signs that are only text
        r'Bearer realm="\R",service="\S",scope="A\ B"',
        'Bearer error="a, b=\\"c\\", d",realm="R",service="S",scope="A B"',
        'Bearer realm="R",realm="other",service="S",scope="A B",scope="C"',
        # other schemes before and behind it: with parameters, with a token68, with nothing
        'Basic realm="x", Bearer realm="R",service="S",scope="A B"',
        'Negotiate, Bearer realm="R",service="S",scope="A B", Basic realm="x"',
        'Negotiate YWJj/+-._~==, Bearer realm="R",service="S",scope="A B",NTLM YQ==',
        'Digest realm="x, Bearer realm=\\"no\\"",qop="auth", Bearer realm="R",service="S",scope="A B"',
        'Bearer realm="R",service="S",scope="A B", Bearer realm="second"',
    ],
)  # fmt: skip
def test_a_challenge_may_be_written_in_every_way_that_http_allows(header: str) -> None:
    assert read(header) == ("R", "S", "A B")


def test_an_address_needs_no_quotes() -> None:
    header = "Bearer realm=https://h:5/token?a=b, scope=repository:u/m:pull"

    assert read(header) == ("https://h:5/token?a=b", "", "repository:u/m:pull")


def test_a_token68_has_no_parameters() -> None:
    assert read("Bearer realm==, Basic realm=x") == ("", "", "")


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "Basic",
        'Basic realm="x"',
        'realm="Bearer"',
        "Bearertoken a=b",
        'Basic a="Bearer b"',
    ],
)
def test_where_no_token_is_demanded_there_is_no_challenge(header: str) -> None:
    assert Challenge.parse(header) is None


@pytest.mark.parametrize("letters", ['"', '" ', '\\"', ", ", "a ", "a=", '",', '"\\'])
def test_a_long_header_is_read_in_one_go(letters: str) -> None:
    """As long as the head of an answer may be; the time limit of a test is the bound."""
    assert Challenge.parse("Bearer " + letters * 50_000) is not None


def test_the_address_of_a_token_has_its_keys_in_order() -> None:
    challenge = Challenge("https://h:5/token?x=1", "a service", "repository:u/m:pull other")

    url = challenge.url("https://h:5", 1700, "once")

    assert url == (
        "https://h:5/token?nonce=once&scope=repository%3Au%2Fm%3Apull&scope=other"
        "&service=a+service&ts=1700&x=1"
    )


@pytest.mark.parametrize("realm", ["https://evil/token", "https://h:99/token", "/token", ""])
def test_a_realm_on_another_host_gets_no_signature(realm: str) -> None:
    with pytest.raises(RealmElsewhere, match='does not match original host "h:5"'):
        Challenge(realm, "s", "r").url("https://h:5", 1, "n")


def test_a_registry_with_tls_cannot_have_the_signature_in_the_clear() -> None:
    with pytest.raises(UnexpectedAnswer, match="not https"):
        Challenge("http://h/token", "s", "r").url("https://h", 1, "n")


def test_a_registry_without_tls_may_have_its_tokens_with_tls() -> None:
    url = Challenge("https://h/token", "s", "r").url("http://h", 1, "n")

    assert parse_qs(urlsplit(url).query)["service"] == ["s"]


def test_a_nonce_is_16_bytes_and_never_the_same() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", nonce())
    assert nonce() != nonce()


def test_what_is_signed_ends_with_the_hash_of_nothing() -> None:
    expected = (
        "GET,https://h/token,ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5"
        "NTk5MWI3ODUyYjg1NQ=="
    )

    assert to_be_signed("https://h/token") == expected
