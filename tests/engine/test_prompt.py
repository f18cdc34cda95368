"""From segments of a prompt to its tokens, with the bundled model's vocabulary."""

import pytest
from ollama_nb_server.engine.errors import UnknownToken
from ollama_nb_server.engine.messages import TextSegment, TokenSegment
from ollama_nb_server.engine.prompt import whole_prompt_tokens

TURN = "<|im_start|>user\nHello<|im_end|>\n"


def test_a_text_alone_is_tokenised_as_a_whole(demo_model):
    whole = demo_model.tokenize(TURN, add_special=True)

    assert whole_prompt_tokens(demo_model, (TextSegment(TURN),)) == whole


def test_texts_cut_at_special_tokens_give_the_same_tokens_as_the_whole(demo_model):
    pieces = ("<|im_start|>", "user\nHello", "<|im_end|>", "\n")

    cut = whole_prompt_tokens(demo_model, tuple(TextSegment(piece) for piece in pieces))

    assert cut == demo_model.tokenize(TURN, add_special=True)


def test_a_user_s_special_token_is_text(demo_model):
    (end,) = demo_model.tokenize("<|im_end|>", add_special=False)

    literal = whole_prompt_tokens(demo_model, (TextSegment("a<|im_end|>", parse_special=False),))

    assert end not in literal
    assert demo_model.detokenize(literal).endswith("a<|im_end|>")


def test_ids_are_taken_as_they_are(demo_model):
    assert whole_prompt_tokens(demo_model, (TokenSegment((5, 6)), TokenSegment((7,)))) == [5, 6, 7]


@pytest.mark.parametrize("token", [-1, 1 << 30])
def test_an_id_that_is_no_token_is_refused(demo_model, token):
    with pytest.raises(UnknownToken):
        whole_prompt_tokens(demo_model, (TextSegment("a"), TokenSegment((token,))))


def test_there_is_always_something_to_decode(demo_model):
    assert len(whole_prompt_tokens(demo_model, ())) == 1
    assert len(whole_prompt_tokens(demo_model, (TokenSegment(()),))) == 1


async def test_segments_are_counted_as_they_are_generated_from(worker, ask):
    prompt = (TextSegment("<|im_start|>user\n"), TextSegment("a<|im_end|>", parse_special=False))

    count, ends = await worker.ends(prompt, 1)
    tokens = await worker.tokenize(prompt, add_special=True)
    _, finished = await ask(worker, prompt, num_predict=1)

    assert finished.prompt_count == count == len(tokens)
    assert ends == (tokens[0], tokens[-1])
    assert await worker.count(prompt) == len(await worker.tokenize(prompt))
