import asyncio

import pytest
from ollama_nb_server.engine.errors import WorkerDied
from ollama_nb_server.engine.inbox import Inbox
from ollama_nb_server.engine.messages import Delta, Finished, Logprob

END = Finished(1, "stop", 1, 1, 1, 1)


async def test_texts_that_pile_up_become_one():
    inbox = Inbox()
    for text in ("a", "b", "c"):
        inbox.put(Delta(1, text))
    inbox.put(END)

    assert [await inbox.get(), await inbox.get()] == [Delta(1, "abc"), END]


async def test_the_probabilities_of_texts_that_pile_up_are_joined_too():
    pieces = [Logprob(text, -1.0, tuple(text.encode())) for text in "ab"]
    inbox = Inbox()
    for piece in pieces:
        inbox.put(Delta(1, piece.text, (piece,)))

    assert await inbox.get() == Delta(1, "ab", tuple(pieces))


async def test_a_waiting_reader_gets_a_text_as_it_comes():
    inbox = Inbox()
    reading = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)

    inbox.put(Delta(1, "a"))

    assert await reading == Delta(1, "a")


async def test_what_had_come_is_read_before_a_failure():
    inbox = Inbox()
    inbox.put(Delta(1, "a"))
    inbox.fail(WorkerDied("killed", loading=False))

    assert await inbox.get() == Delta(1, "a")
    with pytest.raises(WorkerDied):
        await inbox.get()


async def test_nothing_fails_after_its_end():
    inbox = Inbox()
    inbox.put(END)
    inbox.fail(WorkerDied("killed", loading=False))

    assert await inbox.get() == END
