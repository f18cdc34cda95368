"""`score()`: how likely each of some texts is as the answer, without any being written.

How requests run is in `many_scores`; what is made of the numbers is in `scores`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.many_scores import PROMPTS_A_REQUEST, score_all
from ollama_nb.asking.score_request import ScoreRequest
from ollama_nb.asking.scored_prompts import asked_of
from ollama_nb.asking.scores import Score, Scores
from ollama_nb.connection.options import checked
from ollama_nb.errors import BadChoices, OllamaNbError
from ollama_nb.managing.catalogue import default_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ollama_nb.asking.templating import Rendered


def score(
    prompt: str | Rendered | Iterable[str | Rendered | Mapping[str, Any]],
    choices: Iterable[str],
    *,
    model: str | None = None,
    system: str | None = None,
    options: Mapping[str, Any] | None = None,
    raw: bool = False,
    images: Any = None,
    keep_alive: float | str | None = None,
) -> Score | Scores:
    """Ask how likely each of some texts is as the answer to a prompt, or to each of many.

    Nothing is written: a prompt is read once, and the model's own probabilities are looked up.

    Parameters
    ----------
    prompt
        A text, a list of texts or a Series of texts. Or a conversation: a list with messages in
        it, as for `chat()`, such as `[*answer.messages, "Is that so?"]`. If the last message is the
        assistant's, choices go on from it.
    choices
        The texts, spelled as an answer would begin: usually with a letter; behind a `raw` prompt
        such as "Answer:" with a blank.
    model
        Default as for `generate()`.
    system
        Replaces the model's system text.
    options
        `num_ctx`, `seed` and what decides how a model is loaded; nothing is drawn.
    raw
        Send the prompt without the model's template.
    images
        Pictures as for `generate()`, with one prompt or with a conversation's last message.
    keep_alive
        How long the model stays loaded afterwards: seconds, or text such as "10m".

    Returns
    -------
    Score
        For one prompt, or a conversation: `.best`, `.probability` (of the best), `.probabilities`
        (by choice; they add up to 1), `.logprobs` (that the answer begins with a choice, among all
        answers).
    Scores
        For many: `.best` (a Categorical Series), `.probabilities` and `.logprobs` (DataFrames, a
        row a prompt, a column a choice), and a `Score` for each when iterated. A Series keeps its
        index.

    Raises
    ------
    BadChoices
        If there is no choice, an empty one, or the same one twice.
    NotText
        For a prompt that is not a text; missing values (NA) too: drop or fill them first.
    BadMessage, NotAPicture
        For messages or images that cannot be sent, or images with many prompts.
    OllamaNbError
        When there is no server, no such model, or a prompt that does not fit its context.

    Warns
    -----
    ServerWarning
        Once for a server that cannot tell probabilities, as Ollama cannot: `.best` is then what
        it answers when bound to the choices, and there are no probabilities.

    Notes
    -----
    A longer text is less likely than its beginning, and "good" is a beginning of "good value":
    such choices are told apart by what stands behind them, `'"good"'` and `'"good value"'`.

    Examples
    --------
    >>> score("Is the sky blue?", ["Yes", "No"])  # doctest: +SKIP
    Score('Yes': 0.981, 'No': 0.019)
    >>> score(["Great!", "Awful."], ["good", "bad"]).probabilities  # doctest: +SKIP
    """
    asked = asked_of(prompt, images, system, raw=raw)
    allowed = checked_choices(choices)
    fields = {**asked.fields, "options": checked(options or {}), "keep_alive": keep_alive}
    found = _scored(asked.texts, allowed, default_model(model), fields)
    return found[0] if asked.index is None else Scores(allowed, asked.index, tuple(found))


def checked_choices(choices: Iterable[str]) -> tuple[str, ...]:
    """Return choices that can be told apart.

    Raises
    ------
    BadChoices
    """
    if isinstance(choices, str):
        raise BadChoices(f"choices is a list of texts, not the text {choices!r}")
    given = tuple(choices)
    for choice in given:
        if not isinstance(choice, str) or not choice:
            raise BadChoices(f"a choice is a text that is not empty, not {choice!r}")
        if given.count(choice) > 1:
            raise BadChoices(f"the choice {choice!r} is there twice")
    if not given:
        raise BadChoices("choices is empty: give the texts that are to be compared")
    return tuple(map(str, given))


def _scored(
    texts: Sequence[str], choices: tuple[str, ...], model: str, fields: Mapping[str, Any]
) -> list[Score]:
    """Return a score for each text, or raise the first error."""
    parts = [
        tuple(texts[begin : begin + PROMPTS_A_REQUEST])
        for begin in range(0, len(texts), PROMPTS_A_REQUEST)
    ]
    found: dict[int, Sequence[Score | OllamaNbError]] = {}
    requests = [ScoreRequest(model, part, choices, fields) for part in parts]
    ended = score_all(requests, found.__setitem__)
    if ended.stopped:
        raise KeyboardInterrupt
    if ended.fatal is not None:
        raise ended.fatal
    scores = []
    for place in range(len(parts)):
        for outcome in found[place]:
            if isinstance(outcome, OllamaNbError):
                raise outcome
            scores.append(outcome)
    return scores
