import asyncio

import pytest
from ollama_nb_server.engine.errors import WorkerDied
from ollama_nb_server.engine.messages import Delta, Finished, Logprob
from ollama_nb_server.engine.response_stream import ResponseStream

END = Finished(1, "stop", 1, 1, 1, 1)


async def test_texts_that_pile_up_become_one():
    stream = ResponseStream()
    for text in ("a", "b", "c"):
        stream.put(Delta(1, text))
    stream.put(END)

    assert [await stream.get(), await stream.get()] == [Delta(1, "abc"), END]


async def test_the_probabilities_of_texts_that_pile_up_are_joined_too():
    pieces = [Logprob(text, -1.0, tuple(text.encode())) for text in "ab"]
    stream = ResponseStream()
    for piece in pieces:
        stream.put(Delta(1, piece.text, (piece,)))

    assert await stream.get() == Delta(1, "ab", tuple(pieces))


async def test_a_waiting_reader_gets_a_text_as_it_comes():
    stream = ResponseStream()
    reading = asyncio.create_task(stream.get())
    await asyncio.sleep(0)

    stream.put(Delta(1, "a"))

    assert await reading == Delta(1, "a")


async def test_what_had_come_is_read_before_a_failure():
    stream = ResponseStream()
    stream.put(Delta(1, "a"))
    stream.fail(WorkerDied("killed", loading=False))

    assert await stream.get() == Delta(1, "a")
    with pytest.raises(WorkerDied):
        await stream.get()


async def test_nothing_fails_after_its_end():
    stream = ResponseStream()
    stream.put(END)
    stream.fail(WorkerDied("killed", loading=False))

    assert await stream.get() == END
