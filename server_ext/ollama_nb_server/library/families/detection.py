"""Finds the family of a Jinja chat template: by its marks, then by what the template writes.

Ollama compares the text with known ones by edit distance, which a text that differs in one decisive
place passes. Here a family is claimed only for a plain text (`plain`) that makes the same of a few
conversations (`probing`) as the family's Go template does, recorded from Go itself. So a template
layer does not change what a model reads, and a text that is not recognised loses nothing: the
GGUF's own Jinja template goes on being used.

Two things count as the same that differ in bytes: a leading BOS token, which the tokenizer adds,
and blanks around a message, which many Jinja templates take off and a Go template cannot. A text
that has no place for system messages is given one by its family's Go template.
"""

from __future__ import annotations

from ollama_nb_server.library.families.family import FAMILIES, Family
from ollama_nb_server.library.families.probing import (
    BOS,
    EOS,
    WITHOUT_SYSTEM,
    renderings,
)

# The longest plain template that we have seen has 1,900.
MAX_TEMPLATE_CHARS = 8_000


def detect(
    jinja: str, *, bos_token: str | None = None, eos_token: str | None = None
) -> Family | None:
    """The family whose Go template writes what this Jinja chat template writes, if there is one.

    Parameters
    ----------
    jinja : str
        A GGUF's `tokenizer.chat_template`. Nothing in it is trusted.
    bos_token, eos_token : str, optional
        The model's own tokens. Where they are not known, the family's usual ones are assumed.
    """
    if len(jinja) > MAX_TEMPLATE_CHARS:
        return None
    candidates = [family for family in FAMILIES if family.mark in jinja]
    texts = renderings(jinja) if candidates else None
    if texts is None:
        return None
    for family in candidates:
        if writes_the_same(family, texts, bos_token, eos_token):
            return family
    return None


def writes_the_same(
    family: Family, texts: dict[str, str | None], bos_token: str | None, eos_token: str | None
) -> bool:
    """Whether every probe came out as the family's Go template writes it."""
    bos = family.bos if bos_token is None else bos_token
    eos = family.eos if eos_token is None else eos_token
    return all(
        has_no_place_for_system(probe, texts)
        or (text is not None and with_tokens(text, bos, eos) == family.renderings[probe])
        for probe, text in texts.items()
    )


def has_no_place_for_system(probe: str, texts: dict[str, str | None]) -> bool:
    """Whether a system message is refused or left out, so that nobody can say where it belongs."""
    bare = WITHOUT_SYSTEM.get(probe)
    return bare is not None and texts[probe] in (None, texts[bare])


def with_tokens(text: str, bos: str, eos: str) -> str:
    """A probe's text with the model's tokens, without the one that the tokenizer adds."""
    return text.replace(BOS, bos).replace(EOS, eos).removeprefix(bos)
