import pytest
from ollama_nb_server.engine.text import TextStream

TEXTS = ["plain", "Grüße aus Köln", "日本語のテキスト", "a 🦙 and a 👩‍👩‍👧", "e\u0301 accents", ""]


def shown(stream: TextStream, pieces: list[bytes]) -> str:
    return "".join([*(stream.feed(piece) for piece in pieces), stream.flush()])


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_is_the_same_when_it_comes_byte_by_byte(text):
    data = text.encode()

    assert shown(TextStream(), [data[i : i + 1] for i in range(len(data))]) == text


def test_a_character_is_shown_only_when_it_is_whole():
    stream = TextStream()
    llama = "🦙".encode()

    assert [stream.feed(llama[:3]), stream.feed(llama[3:])] == ["", "🦙"]


def test_bytes_that_can_never_become_a_character_are_replaced_at_once():
    assert TextStream().feed(b"a\xffb") == "a\ufffdb"


def test_a_character_that_never_ends_is_dropped_at_the_end():
    stream = TextStream()

    assert [stream.feed(b"a\xf0\x9f"), stream.flush()] == ["a", ""]


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_stop_string_is_never_shown_however_it_is_cut(cut):
    data = b"One.<|stop|>Two."

    stream = TextStream(["<|stop|>"])

    assert shown(stream, [data[:cut], data[cut:]]) == "One."
    assert stream.stopped


def test_what_only_looked_like_a_stop_string_is_shown_after_all():
    stream = TextStream(["###END"])

    pieces = [stream.feed(b"a ###"), stream.feed(b"E"), stream.feed(b"ND!"[1:])]

    assert pieces == ["a ", "", "###ED!"]
    assert not stream.stopped


def test_what_is_held_back_is_shown_at_the_end():
    stream = TextStream(["###END"])

    assert [stream.feed(b"a ###"), stream.flush()] == ["a ", "###"]


def test_the_earliest_of_several_stop_strings_counts():
    stream = TextStream(["three", "two", "two three"])

    assert stream.feed(b"one two three") == "one "


def test_a_stop_string_that_overlaps_itself_is_found():
    assert shown(TextStream(["aab"]), [b"xa", b"a", b"a", b"b"]) == "xa"


def test_a_stop_string_of_many_bytes_is_found_across_a_cut_character():
    data = "Ende 🦙 hier".encode()

    assert shown(TextStream(["🦙"]), [data[:7], data[7:]]) == "Ende "


def test_empty_stop_strings_stop_nothing():
    assert shown(TextStream([""]), [b"all of it"]) == "all of it"
