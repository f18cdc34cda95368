from __future__ import annotations

import json

import pytest

import ollama_nb
from ollama_nb.connection.lines import LineSplitter

ENDS = "\u2028 \u2029 \x85"
DOCUMENTS = [{"text": f"a{ENDS}b"}, {"n": 1}, {"last": "é"}]


def lines_of(data: bytes, size: int) -> list[bytes]:
    splitter = LineSplitter()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.end()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_lines_are_the_same_however_they_are_cut(size: int, end: bytes) -> None:
    data = b"\n".join(json.dumps(d, ensure_ascii=False).encode() for d in DOCUMENTS) + end

    assert [json.loads(line) for line in lines_of(data, size) if line] == DOCUMENTS


@pytest.mark.parametrize("form", ["lines", "events"])
def test_letters_that_end_lines_elsewhere_come_through(connected, form: str) -> None:
    connected.as_events = form == "events"
    connected.ends = ENDS

    assert ollama_nb.generate("one") == f"one{ENDS}"
    assert ollama_nb.chat("one two") == f"one{ENDS}two{ENDS}"


def test_streams_are_asked_for_as_events(connected) -> None:
    ollama_nb.generate("one")

    assert connected.headers["Accept"] == "text/event-stream"
