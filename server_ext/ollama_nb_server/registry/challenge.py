"""A registry's demand for a token, and the request that gets one (3.2). No network here."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ollama_nb_server.registry.errors import RealmElsewhere, UnexpectedAnswer

NONCE_BYTES = 16
# What is signed ends with the hash of the request's body, which is empty.
EMPTY = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()


@dataclass(frozen=True, slots=True)
class Challenge:
    """Where a token is to be had, and for what."""

    realm: str
    service: str
    scope: str

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Read the header `WWW-Authenticate`; what is missing is empty."""
        rest = header.removeprefix("Bearer ")
        return cls(*(_value(rest, key) for key in ("realm", "service", "scope")))

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


def _value(header: str, key: str) -> str:
    """The text between quotes; a quote ends it only before a comma or at the end of the header."""
    _, found, rest = header.partition(f'{key}="')
    if not found:
        return ""
    end = 0
    while end < len(rest):
        if rest[end] == '"' and rest[end + 1 : end + 2] in ("", ","):
            break
        end += 1
    return rest[:end]
