"""The families' Go templates, by what Go itself made of them (tools/record_families.py)."""

import hashlib
import json
from pathlib import Path

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment
from ollama_nb_server.library.families import FAMILIES, Family
from ollama_nb_server.library.families.family import TEMPLATES
from ollama_nb_server.library.families.probing import PROBES

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden.json").read_text("utf-8"))
CONVERSATIONS, RECORDED = GOLDEN["conversations"], GOLDEN["families"]
PLAIN = sorted((HERE / "plain").glob("*.jinja"))
# What published templates and Ollama agree on. Ollama merges neighbours and goes on with an unfinished
# answer; and what becomes of a lone or a last system message differs within a family.
AGREED = ["user", "turns", "long", "system", "system-turns", "late-system", "markers"]
# Where a template has no place for a system message, ours gives it one.
WITHOUT_SYSTEM = {
    "phi-3--without-system",
    "gemma-instruct--without-system",
    "magicoder--dashes",
    "mistral-instruct-spaced--alternating",
}


# Where nothing but questions and answers may follow the first message.
STRICT = {
    "codellama-70b-instruct--offset",
    "command-r--unused-default",
    "gemma3-instruct--prefix",
    "llama2-chat--strip",
    "mistral-instruct--system-first",
}


class Refused(jinja2.TemplateError):
    """The template calls raise_exception."""


def refuse(message):
    raise Refused(message)


def render(path: Path, conversation: str) -> str:
    family = family_of(path)
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    text = environment.from_string(path.read_text("utf-8")).render(
        messages=CONVERSATIONS[conversation],
        bos_token=family.bos,
        eos_token=family.eos,
        add_generation_prompt=True,
    )
    return text.removeprefix(family.bos)


def family_of(path: Path) -> Family:
    return next(family for family in FAMILIES if family.key == path.stem.split("--")[0])


def is_agreed(path: Path, conversation: str) -> bool:
    if conversation == "late-system":
        return path.stem not in WITHOUT_SYSTEM | STRICT
    return "system" not in conversation or path.stem not in WITHOUT_SYSTEM


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.key)
def test_the_recorded_texts_are_those_of_the_template_as_it_is_now(family):
    digest = hashlib.sha256(family.template.encode()).hexdigest()

    assert digest == RECORDED[family.key]["template_sha256"], "run tools/record_families.py"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.key)
def test_what_detection_compares_with_is_what_was_recorded(family):
    recorded = RECORDED[family.key]["renderings"]

    assert family.renderings == {name: recorded[name] for name in PROBES}
    assert {name: CONVERSATIONS[name] for name in PROBES} == PROBES


def test_every_template_belongs_to_a_family():
    assert {path.stem for path in TEMPLATES.iterdir()} == {family.key for family in FAMILIES}
    assert len(RECORDED) == len(FAMILIES)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        pytest.param(path, name, id=f"{path.stem}-{name}")
        for path in PLAIN
        for name in AGREED
        if is_agreed(path, name)
    ],
)
def test_a_published_style_and_the_go_template_write_the_same(path, name):
    recorded = RECORDED[family_of(path).key]["renderings"][name]

    assert render(path, name) == recorded


@pytest.mark.parametrize(
    "path", [path for path in PLAIN if path.stem in STRICT], ids=lambda p: p.stem
)
def test_a_strict_style_refuses_what_it_is_excused_from(path):
    with pytest.raises(Refused):
        render(path, "late-system")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.key)
@pytest.mark.parametrize("name", [name for name in CONVERSATIONS if name != "empty"])
def test_every_message_arrives_and_in_order(family, name):
    text, position = RECORDED[family.key]["renderings"][name], 0

    for message in CONVERSATIONS[name]:
        position = text.index(message["content"], position)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.key)
def test_an_unfinished_answer_is_left_open(family):
    assert RECORDED[family.key]["renderings"]["unfinished"].endswith("It is")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "two-systems",
            "<|im_start|>system\nOne.\n\nTwo.<|im_end|>\n<|im_start|>user\nThree?<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
        (
            "merged",
            "<|im_start|>user\nOne.\n\nTwo.<|im_end|>\n<|im_start|>assistant\n3.<|im_end|>\n"
            "<|im_start|>user\nFour.<|im_end|>\n<|im_start|>assistant\n",
        ),
        ("unfinished", "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\nIt is"),
    ],
)
def test_neighbours_are_merged_and_answers_begun_as_in_ollama(name, text):
    assert RECORDED["chatml"]["renderings"][name] == text
