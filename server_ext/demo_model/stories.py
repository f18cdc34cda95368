"""Makes short stories: a hero, a place, a wish or trouble, a helper, an end. Compositional, by seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

ADJECTIVES = (
    "small",
    "little",
    "brave",
    "shy",
    "curious",
    "clever",
    "kind",
    "old",
    "young",
    "quiet",
    "happy",
    "lonely",
    "friendly",
    "tiny",
    "careful",
    "cheerful",
    "gentle",
    "sleepy",
    "proud",
    "funny",
    "patient",
)
HEROES = (
    "robot",
    "fox",
    "cat",
    "dog",
    "rabbit",
    "owl",
    "mouse",
    "bear",
    "girl",
    "boy",
    "turtle",
    "bird",
    "dragon",
    "horse",
    "frog",
    "squirrel",
    "duck",
    "hedgehog",
    "sailor",
    "baker",
    "gardener",
    "painter",
    "lion",
    "elephant",
    "king",
    "queen",
    "wizard",
    "farmer",
    "snail",
    "bee",
    "whale",
    "penguin",
    "kitten",
    "puppy",
    "monkey",
    "goat",
    "witch",
    "knight",
    "teacher",
    "child",
)
NAMES = (
    "Mia",
    "Tom",
    "Lily",
    "Max",
    "Anna",
    "Ben",
    "Nora",
    "Leo",
    "Ella",
    "Sam",
    "Ida",
    "Finn",
    "Zoe",
    "Otto",
    "Ruby",
    "Paul",
    "Rosa",
    "Hugo",
    "Clara",
    "Emil",
    "Pip",
    "Momo",
    "Dot",
    "Bolt",
    "Luna",
    "Milo",
)
PLACES = (
    ("in a green forest", "forest"),
    ("by the sea", "beach"),
    ("in a small village", "village"),
    ("on a high hill", "hill"),
    ("in a big city", "city"),
    ("near a river", "river"),
    ("on a farm", "farm"),
    ("in an old castle", "castle"),
    ("in a garden", "garden"),
    ("at the edge of a lake", "lake"),
    ("in a quiet valley", "valley"),
    ("on a snowy mountain", "mountain"),
    ("in a busy harbor", "harbor"),
    ("in a wooden house", "house"),
    ("in a meadow full of flowers", "meadow"),
)
THINGS = (
    "red ball",
    "golden key",
    "blue kite",
    "map",
    "lantern",
    "little boat",
    "book",
    "bell",
    "basket of apples",
    "silver coin",
    "wooden flute",
    "warm hat",
    "box",
    "letter",
    "green stone",
    "toy train",
    "feather",
    "music box",
    "old clock",
    "glass star",
    "bucket of paint",
    "umbrella",
    "bicycle",
    "drum",
)
LOST = (
    "kitten",
    "puppy",
    "lamb",
    "duckling",
    "baby bird",
    "pony",
    "child",
    "rabbit",
    "turtle",
    "cub",
    "bee",
)
SEEDS = (
    "seed",
    "flower",
    "tree",
    "apple tree",
    "bean",
    "rose",
    "sunflower",
    "pumpkin",
    "carrot",
    "tulip",
)
FOODS = (
    "bread",
    "soup",
    "cake",
    "apple pie",
    "berries",
    "honey",
    "cookies",
    "warm milk",
    "pancakes",
    "cheese",
)
WEATHER = (
    "sunny morning",
    "rainy day",
    "cold night",
    "windy afternoon",
    "warm evening",
    "snowy day",
    "foggy morning",
    "bright day",
)
FEELINGS_BAD = ("sad", "worried", "afraid", "tired", "cold", "hungry", "lost", "lonely")
FEELINGS_GOOD = ("happy", "proud", "glad", "full of joy", "calm", "thankful")
ENDINGS = (
    "From that day on, they were the best of friends.",
    "{name} smiled and went home {good}.",
    "That night {name} slept well and dreamed of the {place}.",
    "And {name} was never lonely again.",
    "They laughed and danced until the stars came out.",
    "{name} had learned that it is good to help others.",
    "And everyone in the {place} was {good}.",
    "The {adjective} {hero} knew that a friend is the best thing in the world.",
    "After that, they met every day at the same place.",
)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who and what a story is about; `he`, `him`, `his` are the hero's pronouns."""

    adjective: str
    hero: str
    name: str
    place: str
    where: str
    he: str
    him: str
    his: str
    other: str
    thing: str
    lost: str
    seed: str
    food: str
    bad: str
    good: str
    day: str

    def fill(self, text: str) -> str:
        """The text with its holes filled, `a`/`an` put right and sentences begun with a capital."""
        words = text.format(**{slot: getattr(self, slot) for slot in self.__slots__}).split(" ")
        for i, word in enumerate(words[:-1]):
            if word in ("a", "A") and words[i + 1][0].lower() in "aeiou":
                words[i] = word + "n"
        return capitalised(" ".join(words))


def capitalised(text: str) -> str:
    """Every sentence begun with a capital letter."""
    out, begin = [], True
    for letter in text:
        out.append(letter.upper() if begin and letter.isalpha() else letter)
        begin = (begin and not letter.isalnum()) or letter in ".!?"
    return "".join(out)


def cast(rng: random.Random) -> Cast:
    """Draw who and what a story is about."""
    hero, other = rng.sample(HEROES, 2)
    where, place = rng.choice(PLACES)
    he = ("she", "her", "her") if hero in ("girl", "queen", "witch") else ("he", "him", "his")
    if (
        hero not in ("girl", "boy", "queen", "king", "witch", "wizard", "child")
        and rng.random() < 0.4
    ):
        he = ("she", "her", "her")
    return Cast(
        rng.choice(ADJECTIVES),
        hero,
        rng.choice(NAMES),
        place,
        where,
        *he,
        other,
        rng.choice(THINGS),
        rng.choice(LOST),
        rng.choice(SEEDS),
        rng.choice(FOODS),
        rng.choice(FEELINGS_BAD),
        rng.choice(FEELINGS_GOOD),
        rng.choice(WEATHER),
    )


OPENINGS = (
    "Once upon a time there was a {adjective} {hero} named {name}, who lived {where}.",
    "{name} was a {adjective} {hero} who lived {where}.",
    "There once was a {adjective} {hero} {where}. {his} name was {name}.",
    "A {adjective} {hero} called {name} lived {where}.",
    "Far away, {where}, lived a {adjective} {hero} named {name}.",
)

PLOTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "who finds a lost {lost}": (
        (
            "One {day}, {name} heard a soft cry.",
            "On a {day}, {name} went for a walk and heard a small voice.",
            "One {day}, something moved behind a bush.",
        ),
        (
            "It was a lost {lost}, and it was very {bad}.",
            "There sat a little {lost} that could not find its home.",
            "{name} looked closer and saw a {lost}. It was lost and {bad}.",
        ),
        (
            '"Do not worry," said {name}. "I will help you."',
            "{name} gave the {lost} some {food} and made it warm.",
            "{name} picked it up and held it close.",
        ),
        (
            "Together they looked for the way home, past the trees and over the bridge.",
            "They asked everyone in the {place}, and at last a {other} knew the way.",
            "{name} carried the {lost} all the way through the {place}.",
        ),
        (
            "The mother of the {lost} was waiting at the door and thanked {him} with tears of joy.",
            "At last they found its family, and everyone was {good}.",
            "The {lost} had no home, so it stayed with {name}.",
        ),
    ),
    "who plants a {seed} in the garden": (
        (
            "One {day}, {name} found a {seed} on the path.",
            "On a {day}, a {other} gave {name} a {seed}.",
            "One {day}, {name} wanted to plant a {seed}.",
        ),
        (
            "{he} dug a small hole in the earth and planted it in the garden.",
            "{name} put the {seed} into the soft earth.",
            "{name} took a little spade and planted the {seed} with care.",
        ),
        (
            "Every morning {he} gave it water, but nothing happened.",
            "{he} watered it each day and waited.",
            "Days went by, and {name} was {bad} because nothing grew.",
        ),
        (
            "Then, after the rain, a green leaf came out of the ground.",
            "One morning there was a tiny green leaf.",
            "But {name} was patient, and one day it began to grow.",
        ),
        (
            "Soon it was the most beautiful plant in the {place}, and everyone came to see it.",
            "It grew taller than the house, and {name} was {good}.",
            "{name} shared its fruit with all the neighbors.",
        ),
    ),
    "who loses a {thing}": (
        (
            "{name} had a {thing} that {he} loved very much.",
            "The {thing} was the dearest thing that {name} had.",
        ),
        ("One {day}, it was gone.", "But on a {day}, {name} could not find it."),
        (
            "{name} looked under the bed, behind the door, and in the {place}.",
            "{he} was {bad} and looked everywhere.",
        ),
        (
            'A {other} saw {him} and asked, "Why are you so {bad}?"',
            "Then a {other} came and wanted to help.",
        ),
        (
            "Together they found the {thing} under a big stone.",
            "They found it at last, high up in a tree.",
            "The {other} had seen it by the water, and there it was.",
        ),
    ),
    "who wants to see the {place}": (
        (
            "{name} had one wish: {he} wanted to see the whole {place}.",
            "Every day {name} dreamed of a long journey.",
        ),
        (
            "So one {day}, {he} packed some {food} and a {thing} and set off.",
            "On a {day}, {name} took a {thing} and left.",
        ),
        (
            "The way was long, and {name} was {bad}.",
            "{he} walked over hills and through the wind until {he} was {bad}.",
        ),
        (
            "Then {he} met a {other} who showed {him} the way.",
            "A {other} came by and shared some {food} with {him}.",
        ),
        (
            "When {name} came to the top, {he} could see everything, and it was beautiful.",
            "At the end of the road the world was wide and bright.",
        ),
    ),
    "who makes a new friend": (
        (
            "{name} had nobody to play with and was often {bad}.",
            "{name} was alone most of the time.",
        ),
        (
            "One {day}, a {other} moved into the house next door.",
            "On a {day}, {he} saw a {other} sitting by the road.",
        ),
        (
            "{name} was shy, but {he} brought some {food} as a gift.",
            '"Hello," said {name}. "Do you like my {thing}?"',
        ),
        (
            "The {other} smiled, and they began to talk.",
            "They played with the {thing} the whole day.",
        ),
        (
            "In the evening they shared their {food} and watched the sun go down.",
            "Now they were two, and everything was more fun.",
        ),
    ),
    "who is afraid of the dark": (
        (
            "{name} was afraid of the dark.",
            "Every night {name} lay awake, because {he} was afraid of the dark.",
        ),
        (
            "One {day}, the light went out in the whole {place}.",
            "On a {day}, {he} had to walk home late.",
        ),
        (
            "{name} was {bad}, but then {he} saw a small light.",
            "There was a noise, and {name} held {his} {thing} tight.",
        ),
        ("It was only a {other} with a lantern.", "But it was just a {other} who was afraid too."),
        (
            "They walked home together, and the dark was not so dark any more.",
            "Together they looked at the stars, and {name} saw how beautiful the night is.",
        ),
    ),
    "who helps a {other}": (
        (
            "One {day}, a {other} knocked at the door of {name}.",
            "On a {day}, {name} met a {other} who was {bad}.",
        ),
        (
            "The {other} had broken the {thing} and did not know what to do.",
            '"My {thing} fell into the water," said the {other}.',
        ),
        ("{name} thought for a moment and had an idea.", '"I can help you," said {name}.'),
        ("{he} worked all day long and did not stop.", "They worked together until the evening."),
        (
            "In the end the {thing} was as good as new, and the {other} was {good}.",
            "The {other} thanked {him} and gave {him} some {food}.",
        ),
    ),
}
ABOUT = tuple(PLOTS)
REQUESTS = (
    "Tell me a story about a {adjective} {hero} {plot}.",
    "Write a story about a {hero} {plot}.",
    "Write a short story about a {hero} {plot}.",
    "Tell me a short story about a {adjective} {hero}.",
    "Tell me about a {hero} {plot}.",
    "Please write a story about a {hero}.",
    "Can you tell me a story about a {hero} {plot}?",
    "Write a tale of a {adjective} {hero} named {name}.",
    "I would like to hear a story about a {hero} {plot}.",
    "A story about a {adjective} {hero} {plot}, please.",
    "Tell a bedtime story about a {hero} {where}.",
    "Make up a story with a {hero} and a {other}.",
    "Write three sentences about a {adjective} {hero}.",
    "Write a story.",
    "Tell me a story.",
    "Once upon a time there was a {adjective} {hero}. Go on with the story.",
    "Write a short story about a {adjective} {hero} {plot}.",
)


def story(rng: random.Random) -> tuple[str, str]:
    """A request for a story, and the story that fits it."""
    who = cast(rng)
    plot = rng.choice(ABOUT)
    request = rng.choice(REQUESTS).replace("{plot}", plot)
    opening = rng.choice(OPENINGS)
    beats = [rng.choice(beat) for beat in PLOTS[plot]]
    if "three sentences" in request:
        beats = [beats[0]]
    text = " ".join(who.fill(part) for part in (opening, *beats, rng.choice(ENDINGS)))
    return who.fill(request), text
