import orjson
import pytest
from ollama_nb_server.engine.channel import decode, encode
from ollama_nb_server.engine.core import failure
from ollama_nb_server.engine.errors import PromptTooLong, UnknownMessage, revived
from ollama_nb_server.engine.messages import (
    Cancel,
    Cancelled,
    Delta,
    Detokenize,
    Embed,
    Embedded,
    Failed,
    Finished,
    Generate,
    Grammar,
    ImageSegment,
    Loaded,
    Logprob,
    Priority,
    Progress,
    SamplingParams,
    Score,
    Scored,
    Text,
    TextSegment,
    Tokenize,
    Tokens,
    TokenSegment,
)

MESSAGES = [
    Generate(
        1, (TextSegment("Hallo 🦙"),), SamplingParams(seed=2**32 - 1, top_k=0), stop=("a", "b")
    ),
    Generate(1, (TextSegment("a", False), TokenSegment((1, 2))), SamplingParams(seed=0)),
    Generate(1, (ImageSegment(b"\0\xff"), TextSegment("a"), ImageSegment(b"")), SamplingParams(0)),
    Generate(
        1,
        (TextSegment("a"),),
        SamplingParams(seed=0),
        grammar=Grammar("gbnf", "root ::= .", "</think>"),
        logprobs=3,
        priority=Priority.BATCH,
        tags=("[TOOL_CALLS]",),
    ),
    Embed(2, ("a", "b"), truncate=False),
    Score(
        3,
        ((TextSegment("a"), TokenSegment((1,))), (TextSegment("b", False, "x"),)),
        ((TextSegment("c"),),),
    ),
    Score(
        3,
        ((ImageSegment(b"\0\xff"), TextSegment("a")),),
        ((TextSegment("c"),),),
        priority=Priority.BATCH,
    ),
    Tokenize(3, (TextSegment("a"), TokenSegment((1, 2))), add_special=True),
    Detokenize(4, (1, 2)),
    Cancel(5),
    Loaded(1, 2, 3, 4, 5, True, "<s>", "</s>", 6, 7, 8, 2, ("careful",)),
    Delta(6, "text\n\u0000"),
    Delta(6, "é", (Logprob("é", -0.5, (195, 169), (Logprob("\ufffd", -9.25, (195,)),)),)),
    Finished(7, "stop", 1, 2, 3, 4, stop="END", cached_count=1),
    Progress(7, 64, 200),
    Cancelled(7, 64, 2),
    Embedded(8, (b"\x00" * 8, b"\xff" * 8), 9),
    Scored(8, ((1, 2), (3,)), (b"\x00" * 24, b"\xff" * 24), 9, 6, 3),
    Tokens(9, (1,)),
    Text(10, ""),
    Failed(11, "PromptTooLong", (9, 8)),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message):
    assert decode(encode(message)) == [message]


def test_many_messages_travel_as_one_and_keep_their_order():
    assert decode(encode(*MESSAGES)) == MESSAGES


def test_a_message_of_another_protocol_is_an_error():
    with pytest.raises(UnknownMessage, match="'Reboot'"):
        decode([orjson.dumps([["Reboot", {"id": 1}]])])


def test_an_error_arrives_with_its_facts():
    message = failure(3, PromptTooLong(2000, 512))

    error = revived(message.error, message.args)

    assert isinstance(error, PromptTooLong)
    assert (error.num_tokens, error.num_ctx) == (2000, 512)
