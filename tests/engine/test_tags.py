"""Control tokens that a request wants to read."""

from __future__ import annotations

import pytest
from ollama_nb_server.engine.messages import Delta, LoadSpec
from ollama_nb_server.engine.process import Worker
from serving import Serving

PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"
CALLS, PYTHON = "[TOOL_CALLS]", "<|python_tag|>"


@pytest.fixture(scope="module")
def serving(tagged_gguf):
    """The bundled model, which writes [TOOL_CALLS] for "the" and <|python_tag|> for full stops."""
    serving = Serving(tagged_gguf)
    yield serving
    serving.close()


def answer(serving: Serving, **wishes):
    return serving.answer(PROMPT, **{"num_predict": 80, **wishes})


def test_a_control_token_is_nothing_unless_its_text_is_asked_for(serving):
    plain = answer(serving).text

    both = answer(serving, tags=(CALLS, PYTHON)).text

    assert min(both.count(CALLS), both.count(PYTHON)) > 0
    assert both.replace(CALLS, "").replace(PYTHON, "") == plain
    assert answer(serving, tags=(PYTHON,)).text == both.replace(CALLS, "")


def test_texts_that_are_no_control_token_change_nothing(serving):
    plain = answer(serving).text

    assert answer(serving, tags=("the", " robot", "<tool", "", "[TOOL_CALLS]x")).text == plain


def test_an_end_stays_an_end(serving):
    plain = answer(serving, num_predict=400)

    told = answer(serving, num_predict=400, tags=("<|im_end|>", "<|endoftext|>"))

    assert (told.text, told.end.reason, plain.end.reason) == (plain.text, "stop", "stop")


def test_a_stop_string_is_found_across_a_tag(serving):
    whole = answer(serving, tags=(CALLS,)).text
    begin = whole.index(CALLS)
    stop = whole[begin - 2 : begin + 5]

    stopped = answer(serving, tags=(CALLS,), stop=(stop,))

    assert (stopped.text, stopped.end.stop) == (whole[: begin - 2], stop)


def test_a_stop_string_that_is_a_tag_nobody_reads_is_not_found(serving):
    plain = answer(serving).text

    assert answer(serving, stop=(CALLS,)).text == plain


async def test_probabilities_come_in_the_pieces_of_the_text(tagged_gguf, start_worker, events):
    worker = await start_worker(tagged_gguf)

    told = await events(worker, PROMPT, tags=(CALLS,), logprobs=2)

    deltas = [event for event in told if isinstance(event, Delta)]
    pieces = [piece for delta in deltas for piece in delta.logprobs]
    assert "".join(piece.text for piece in pieces) == "".join(delta.text for delta in deltas)
    assert CALLS in [piece.text for piece in pieces]
    assert all(piece.alternatives[0].text == CALLS for piece in pieces if piece.text == CALLS)


@pytest.mark.parametrize(("tags", "begin"), [((), "\n"), (("<|im_start|>",), "<|im_start|>\n")])
async def test_a_published_model_writes_its_control_tokens_out(qwen_coder, ask, tags, begin):
    said = [("user", "Hi"), ("assistant", "Hello!"), ("user", "Bye")]
    turns = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in said)
    worker = await Worker.start(LoadSpec(str(qwen_coder), num_ctx=256, num_parallel=1))

    text, _ = await ask(worker, f"{turns}<|im_end|>\n", tags=tags)  # a turn begins behind that

    await worker.stop()
    assert text.startswith(begin)
