"""Answers to schemas by a model that writes anything that it may, at random."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ollama_nb_server.engine.errors import GrammarDeadEnd
from ollama_nb_server.engine.grammars.compiling import Compiler
from ollama_nb_server.engine.grammars.grammar import Compiled
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.engine.native import Model

END = b"\xff"
CLOSING = (END, b'"', b"]", b"}", b", ", b"0")
MOST_TOKENS = 600

Walk = Callable[[Compiled, random.Random], tuple[str, bool]]
Answers = Callable[..., list[Any]]
Writes = Callable[[Any, str], bool]


@pytest.fixture(scope="session")
def vocabulary(demo_model: Model) -> list[bytes]:
    return demo_model.vocabulary()


@pytest.fixture(scope="session")
def walk(vocabulary: list[bytes]) -> Walk:
    """`text, ended = walk(compiled, chance)`: tokens that were allowed or forced."""

    def walked(compiled: Compiled, chance: random.Random) -> tuple[str, bool]:
        matcher, data = compiled.answer(), b""
        for _ in range(MOST_TOKENS):
            token = chosen(vocabulary, matcher.allowed().tolist(), chance)
            if vocabulary[token].startswith(END):
                return data.decode(), True
            matcher.take(token)
            data += vocabulary[token]
            for forced in matcher.forced():
                matcher.take(forced)
                data += vocabulary[forced]
            if matcher.complete:
                return data.decode(), True
        return data.decode("utf-8", "replace"), False

    return walked


def chosen(vocabulary: list[bytes], allowed: list[int], chance: random.Random) -> int:
    """One of the allowed tokens, often one that brings an end nearer."""
    ending = [t for t in allowed if vocabulary[t].startswith(CLOSING)]
    return chance.choice(ending if ending and chance.random() < 0.5 else allowed)


@pytest.fixture
def answers(compiler: Compiler, walk: Walk) -> Answers:
    """`found = answers(schema)`: what random answers hold, all of them ended and valid."""

    def told(schema: Any, count: int = 12) -> list[Any]:
        compiled = Compiled(compiler.compile(Grammar("json_schema", json.dumps(schema))))
        texts = [walk(compiled, random.Random(seed)) for seed in range(count)]
        assert all(ended for _, ended in texts), [text for text, ended in texts if not ended]
        found = [json.loads(text) for text, _ in texts]
        checker = Draft202012Validator.FORMAT_CHECKER
        validator = Draft202012Validator(schema, format_checker=checker)
        for value in found:
            validator.validate(value)
        return found

    return told


@pytest.fixture
def writes(compiler: Compiler, demo_model: Model) -> Writes:
    """`writes(schema, text)`: whether a whole answer can be this text."""

    def told(schema: Any, text: str) -> bool:
        matcher = Compiled(compiler.compile(Grammar("json_schema", json.dumps(schema)))).answer()
        try:
            for byte in text.encode():
                (token,) = demo_model.tokenize(chr(byte), add_special=False)
                matcher.take(token)
        except GrammarDeadEnd:
            return False
        return matcher.complete or any(map(demo_model.is_end, matcher.allowed().tolist()))

    return told
