"""The tokenizer: byte-level BPE learned from the corpus, and how a conversation becomes tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from corpus import Conversation, conversations, plain_text
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
QUIET = 0.15  # weight of the loss on what users and systems say


def written(talk: Conversation) -> str:
    """A conversation as the chat template writes it."""
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in talk)


def learn(vocabulary: int, seed: int, samples: int = 60_000) -> Tokenizer:
    """Learn a vocabulary from the corpus; every byte is a token, so any text can be written."""
    tokenizer = Tokenizer(models.BPE())
    # The split that llama.cpp knows as `gpt-2`.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    talks = islice(conversations(seed), samples)
    tokenizer.train_from_iterator((text for talk in talks for _, text in talk), trainer)
    return tokenizer


def stream(tokenizer: Tokenizer, seed: int) -> Iterator[tuple[list[int], list[float]]]:
    """Documents as token ids, each with the weight of its token in the loss; no end."""
    rng = random.Random(seed)
    for talk in conversations(seed):
        yield weighed(tokenizer, talk)
        if rng.random() < 0.04:
            ids = [*tokenizer.encode(plain_text(rng)).ids, tokenizer.token_to_id("<|endoftext|>")]
            yield ids, [1.0] * len(ids)


def weighed(tokenizer: Tokenizer, talk: Conversation) -> tuple[list[int], list[float]]:
    """Token ids of a conversation; what the assistant says counts fully."""
    ids: list[int] = []
    weights: list[float] = []
    for role, text in talk:
        head = tokenizer.encode(f"<|im_start|>{role}\n").ids
        body = tokenizer.encode(f"{text}<|im_end|>").ids
        tail = tokenizer.encode("\n").ids
        ids += head + body + tail
        weights += (
            [QUIET] * len(head)
            + [1.0 if role == "assistant" else QUIET] * len(body)
            + [QUIET] * len(tail)
        )
    return ids, weights
