import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.prompts.thoughts import Thoughts, ThoughtSplitter

TAGS = Thoughts("<think>", "</think>")


def split(pieces: list[str], thoughts: Thoughts = TAGS) -> tuple[str, str]:
    splitter = ThoughtSplitter(thoughts)
    told = [*(splitter.feed(piece) for piece in pieces), splitter.end()]
    return "".join(thinking for thinking, _ in told), "".join(answer for _, answer in told)


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("  <think>\n abc def</think>\n\nhello", "abc def", "hello"),
        ("<think>a</think>b</think>c", "a", "b</think>c"),
        (" hello <think>x", "", " hello <think>x"),
        ("<think></think>x", "", "x"),
        ("<think> \n ", "", ""),
        ("<think>never ends </thi", "never ends </thi", ""),
        ("<thin", "", "<thin"),
        ("  ", "", "  "),
        ("", "", ""),
        ("<think>a < b </ c</think> d", "a < b </ c", "d"),
    ],
)
def test_thoughts_stand_at_the_beginning_between_their_tags(text, thinking, answer) -> None:
    assert split([text]) == (thinking, answer)
    assert split(list(text)) == (thinking, answer)


def test_the_prompt_may_have_opened_them() -> None:
    assert split(
        ["\nI pon", "der.\n</think>\n\nYes."], Thoughts("<think>", "</think>", begun=True)
    ) == (
        "I ponder.\n",
        "Yes.",
    )


def test_thoughts_are_shown_as_they_come() -> None:
    splitter = ThoughtSplitter(TAGS)

    assert [splitter.feed(p) for p in ("<think>a", " b</", "think", ">c")] == [
        ("a", ""), (" b", ""), ("", ""), ("", "c"),
    ]  # fmt: skip


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "/think>", "a", " ", "\n", "<th"])),
    st.data(),
)
def test_it_does_not_matter_how_the_text_is_cut(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))

    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert split(pieces) == split([text])
