"""Makes the training text of the demo model: conversations of many kinds, all by one seed.

Facts are in `facts`, stories in `stories`; the mixture and the wording are here. Prompts of the
quickstart notebook never occur (see `forbidden`).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from facts import NOTEBOOKS, PANDAS, PRODUCT, TALK, UNKNOWN, WORDS, Topic
from stories import capitalised, cast, story

Turn = tuple[str, str]
Conversation = list[Turn]
HERE = Path(__file__).resolve().parent

POLITE = (
    "",
    "",
    "",
    "",
    "",
    "Please: ",
    "Hi! ",
    "Hello. ",
    "One question: ",
    "Quick question: ",
    "Hey, ",
    "Excuse me, ",
)
AFTER = (
    "",
    "",
    "",
    "",
    "",
    "",
    " please",
    " thanks",
    " in short",
    " in simple words",
    " for a beginner",
)
QUESTION_WORDS = (
    "how",
    "what",
    "which",
    "who",
    "why",
    "can",
    "do",
    "does",
    "is",
    "are",
    "where",
    "when",
    "will",
)

GOOD = (
    "warm and tasty",
    "wonderful",
    "clean and quiet",
    "beautiful",
    "friendly",
    "excellent",
    "funny and clever",
    "great",
    "fresh",
    "lovely",
    "comfortable",
    "fast and helpful",
    "perfect",
    "very good",
    "exciting",
    "charming",
    "delicious",
    "bright and cozy",
    "brilliant",
    "kind",
    "fantastic",
    "well made",
    "worth every cent",
    "touching",
    "polite",
)
BAD = (
    "cold and salty",
    "terrible",
    "dirty and loud",
    "ugly",
    "rude",
    "awful",
    "slow and boring",
    "bad",
    "broken",
    "stale",
    "uncomfortable",
    "late and careless",
    "a waste of money",
    "very poor",
    "dull",
    "disappointing",
    "too expensive",
    "dark and smelly",
    "confusing",
    "unfriendly",
    "useless",
    "badly made",
    "tasteless",
    "noisy",
    "sticky",
)
REVIEWED = (
    "soup",
    "room",
    "book",
    "film",
    "waiter",
    "hotel",
    "bed",
    "music",
    "food",
    "phone",
    "staff",
    "movie",
    "coffee",
    "story",
    "service",
    "pizza",
    "bathroom",
    "breakfast",
    "train",
    "game",
    "laptop",
    "view",
    "cake",
    "play",
    "concert",
    "museum",
    "garden",
    "beach",
    "sound",
    "screen",
    "ending",
    "driver",
    "tea",
    "chair",
)
GOOD_TAILS = (
    "I will come again.",
    "I loved it.",
    "We stayed longer than planned.",
    "I told all my friends.",
    "I read it twice.",
    "We laughed a lot.",
    "I would buy it again.",
    "What a nice evening!",
    "Highly recommended.",
    "I was very happy.",
    "My children loved it too.",
    "It made my day.",
    "A lovely little gem.",
    "I enjoyed every minute.",
    "Five stars.",
)
BAD_TAILS = (
    "I will never come back.",
    "I want my money back.",
    "We left early.",
    "Do not buy it.",
    "I was very disappointed.",
    "It broke after one day.",
    "Never again.",
    "I fell asleep.",
    "We waited for an hour.",
    "What a pity.",
    "I did not like it at all.",
    "My children cried.",
    "It ruined our evening.",
    "I stopped after ten pages.",
    "One star.",
)
ASK_SENTIMENT = (
    "Is this review positive or negative? {}",
    "Positive or negative? {}",
    "Is the following review positive or negative? {}",
    "What is the sentiment of this review? {}",
    "Judge this review: {}",
    "Classify the sentiment: {}",
    "{} Is this positive or negative?",
    "Does the writer like it? {}",
    "Tell me if this review is good or bad: {}",
    "Sentiment of this text: {}",
    "Review: {} Positive or negative?",
)
SYSTEMS = (
    "You are a helpful assistant.",
    "Answer in short sentences.",
    "You are a friendly assistant.",
    "You help people with notebooks.",
    "Be brief.",
    "You are a helpful assistant in a Jupyter notebook.",
    "Answer clearly.",
)
ONE_WORD = (
    "Answer with one word.",
    "Answer with a single word.",
    "Reply with one word only.",
    "Say only positive or negative.",
)
STRANGE = (
    "who won the football match in {year}",
    "how far is it to the {place} of {name}",
    "write a program in assembler that sorts {thing}s",
    "what did {name} eat in {year}",
    "translate the word {thing} into Latin",
    "what is the price of a {thing} in Tokyo",
    "explain quantum physics in detail",
    "what is the population of {name} city",
    "solve this integral for me",
    "who was the king in {year}",
    "how many {thing}s are there in the world",
    "write a poem in Russian",
    "what is the weather in {name} town tomorrow",
    "give me the phone number of {name}",
    "what is the square root of {year}",
    "which stock should I buy",
)


def forbidden() -> frozenset[str]:
    """Prompts that the quickstart asks, normalised: the model must answer them unseen."""
    return frozenset(normalised(p) for p in json.loads((HERE / "held_out.json").read_text("utf-8")))


def normalised(text: str) -> str:
    """Lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9_]+", " ", text.lower()).strip()


def question(rng: random.Random, topic: Topic) -> str:
    """One wording of a topic's question, dressed as people write."""
    asked = rng.choice(topic.asks) + rng.choice(AFTER)
    mark = "?" if asked.split()[0] in QUESTION_WORDS else "."
    text = rng.choice(POLITE) + capitalised(asked) + mark
    form = rng.random()
    if form < 0.1:
        return text.lower()
    return text[:-1] if form < 0.2 else text


def about(topics: tuple[Topic, ...]) -> Callable[[random.Random], Conversation]:
    """Conversations of one question about one of these topics, sometimes of two or three."""

    def make(rng: random.Random) -> Conversation:
        talk: Conversation = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            topic = rng.choice(topics)
            lead = rng.choice(("And ", "Then ", "Now ", "")) if talk else ""
            asked = question(rng, topic)
            talk += [
                ("user", lead + (asked[0].lower() + asked[1:] if lead else asked)),
                ("assistant", rng.choice(topic.answers)),
            ]
        return talk

    return make


def tale(rng: random.Random) -> Conversation:
    """A story on request; sometimes a second one."""
    asked, told = story(rng)
    talk = [("user", asked), ("assistant", told)]
    if rng.random() < 0.1:
        _, second = story(rng)
        talk += [
            ("user", rng.choice(("Another one, please.", "Tell me another story.", "One more!"))),
            ("assistant", second),
        ]
    return talk


def review(rng: random.Random, liked: bool) -> str:
    """One to three sentences of praise or complaint."""
    words, tails = (GOOD, GOOD_TAILS) if liked else (BAD, BAD_TAILS)
    one, two = rng.sample(REVIEWED, 2)
    shapes = (
        f"The {one} was {rng.choice(words)}.",
        f"The {one} was {rng.choice(words)}, and the {two} was {rng.choice(words)}.",
        f"The {one} was {rng.choice(words)} and the {two} was {rng.choice(words)}.",
        f"A {rng.choice(words)} {one}.",
        f"The {one} was {rng.choice(words)}. {rng.choice(tails)}",
        f"{rng.choice(tails)} The {one} was {rng.choice(words)}.",
        rng.choice(tails),
        f"A {rng.choice(words)} {one}, {decapitalised(rng.choice(tails))}",
        f"The {one} was {rng.choice(words)}, {decapitalised(rng.choice(tails))}",
    )
    return re.sub(r"^A (?=[aeu])", "An ", rng.choice(shapes))


def decapitalised(text: str) -> str:
    """A sentence as it stands after a comma."""
    return text if text.startswith("I ") else text[0].lower() + text[1:]


def sentiment(rng: random.Random) -> Conversation:
    """A review and what it says."""
    liked = rng.random() < 0.5
    word = "positive" if liked else "negative"
    asked = ("user", rng.choice(ASK_SENTIMENT).format(review(rng, liked)))
    if rng.random() < 0.3:
        return [("system", rng.choice(ONE_WORD)), asked, ("assistant", f"{word.capitalize()}.")]
    reason = "likes it" if liked else "does not like it"
    return [
        asked,
        (
            "assistant",
            rng.choice(
                (
                    f"The review is {word}.",
                    f"This review is {word}.",
                    f"It is {word}: the writer {reason}.",
                    f"{word.capitalize()}. The writer {reason}.",
                )
            ),
        ),
    ]


def sum_of(rng: random.Random) -> Conversation:
    """A small sum, difference or product."""
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    sign, word, result = rng.choice(
        (("+", "plus", a + b), ("-", "minus", max(a, b) - min(a, b)), ("*", "times", None))
    )
    if sign == "-":
        a, b = max(a, b), min(a, b)
    if result is None:
        a, b = rng.randint(0, 10), rng.randint(0, 10)
        result = a * b
    written = rng.choice((f"{a} {sign} {b}", f"{a} {word} {b}"))
    asked = rng.choice(
        (
            "What is {}?",
            "How much is {}?",
            "Compute {}.",
            "{} = ?",
            "Please compute {}.",
            "Can you tell me what {} is?",
        )
    )
    return [
        ("user", asked.format(written)),
        ("assistant", rng.choice((f"{a} {word} {b} is {result}.", f"The answer is {result}."))),
    ]


def strange(rng: random.Random) -> Conversation:
    """A question beyond a model of this size, refused in a whole sentence."""
    who = cast(rng)
    text = rng.choice(STRANGE).format(
        year=rng.randint(1000, 2030), place=who.place, name=who.name, thing=who.thing
    )
    mark = "?" if text.split()[0] in QUESTION_WORDS else "."
    return [("user", capitalised(text) + mark), ("assistant", rng.choice(UNKNOWN))]


MIXTURE: tuple[tuple[float, Callable[[random.Random], Conversation]], ...] = (
    (0.30, tale),
    (0.16, about(PRODUCT)),
    (0.14, about(PANDAS)),
    (0.06, about(NOTEBOOKS)),
    (0.06, about(WORDS)),
    (0.05, about(TALK)),
    (0.03, about(PRODUCT + PANDAS + NOTEBOOKS + WORDS + TALK)),
    (0.12, sentiment),
    (0.05, sum_of),
    (0.03, strange),
)


def conversations(seed: int) -> Iterator[Conversation]:
    """An endless stream of conversations, without any that asks a held-out prompt."""
    rng = random.Random(seed)
    weights, makers = zip(*MIXTURE, strict=True)
    held_out = forbidden()
    while True:
        talk = rng.choices(makers, weights)[0](rng)
        if any(normalised(text) in held_out for role, text in talk if role == "user"):
            continue
        if talk[0][0] != "system" and rng.random() < 0.15:
            talk = [("system", rng.choice(SYSTEMS)), *talk]
        yield talk


def plain_text(rng: random.Random) -> str:
    """A story without any conversation around it, for raw prompts."""
    return story(rng)[1]
