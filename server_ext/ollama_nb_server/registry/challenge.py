"""A registry's demand for a token, and the request that gets one (3.2). No network here."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ollama_nb_server.registry.errors import RealmElsewhere, UnexpectedAnswer

NONCE_BYTES = 16
# What is signed ends with the hash of the request's body, which is empty.
EMPTY = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
# The grammar of RFC 9110, sections 5.6 and 11, read generously: as Ollama does, a quote ends a text
# only before a comma or at the end of the header, and a value without quotes may be an address.
QUOTED = r'"((?:[^"\\]|\\.?|"(?![ \t]*(?:,|\Z)))*)(?:"|\Z)'
ELEMENT = re.compile(rf'(?:[^",]|{QUOTED})+')
PARAMETER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*")
TOKEN68 = re.compile(r"[0-9A-Za-z._~+/-]+=*")
ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """Where a token is to be had, and for what."""

    realm: str
    service: str
    scope: str

    @classmethod
    def parse(cls, header: str) -> Challenge | None:
        """Find the demand for a Bearer token in `WWW-Authenticate`; None if there is none.

        Several header lines are one, joined by commas. A parameter that is missing is empty.
        """
        for scheme, given in _challenges(header):
            if scheme == "bearer":
                return cls(*(given.get(key, "") for key in ("realm", "service", "scope")))
        return None

    def url(self, origin: str, now: int, nonce: str) -> str:
        """The address that answers with a token.

        Parameters
        ----------
        origin
            `https://HOST` of the request that was answered with this challenge: nobody else is
            given the signature.

        Raises
        ------
        RealmElsewhere
            If the realm is another host's.
        UnexpectedAnswer
            If the realm would carry the signature in the clear, though the registry speaks TLS.
        """
        realm, ours = urlsplit(self.realm), urlsplit(origin)
        if realm.netloc != ours.netloc:
            raise RealmElsewhere(realm.netloc, ours.netloc)
        if realm.scheme != ours.scheme and realm.scheme != "https":
            raise UnexpectedAnswer(f'the realm of "{ours.netloc}" is not https')
        pairs = parse_qsl(realm.query, keep_blank_values=True)
        pairs += [("service", self.service), ("ts", str(now)), ("nonce", nonce)]
        pairs += [("scope", scope) for scope in self.scope.split(" ")]
        query = urlencode(sorted(pairs, key=lambda pair: pair[0]))
        return urlunsplit((realm.scheme, realm.netloc, realm.path, query, ""))


def nonce() -> str:
    """A number that is used once."""
    return base64.urlsafe_b64encode(secrets.token_bytes(NONCE_BYTES)).rstrip(b"=").decode()


def to_be_signed(url: str) -> str:
    """The text whose signature a token costs."""
    return f"GET,{url},{EMPTY}"


def _challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """Each scheme in small letters with its parameters; of equal parameters the first counts."""
    found: list[tuple[str, dict[str, str]]] = []
    for element in _elements(header):
        parameter = PARAMETER.match(element)
        if parameter is None:
            scheme, *rest = re.split(r"[ \t]+", element, maxsplit=1)
            found.append((scheme.casefold(), {}))
            element = rest[0] if rest else ""
            parameter = None if TOKEN68.fullmatch(element) else PARAMETER.match(element)
        if parameter is not None and found:
            found[-1][1].setdefault(parameter[1].casefold(), _value(element[parameter.end() :]))
    return found


def _elements(header: str) -> Iterator[str]:
    """What stands between commas; empty elements are allowed and mean nothing (RFC 9110, 5.6.1)."""
    elements = (found[0].strip(" \t") for found in ELEMENT.finditer(header))
    return (element for element in elements if element)


def _value(text: str) -> str:
    quoted = re.match(QUOTED, text)
    return text if quoted is None else ESCAPED.sub(r"\1", quoted[1])
