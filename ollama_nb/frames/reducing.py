"""One answer about many texts: about parts of them, then about the answers, until one is left.

What is asked, and of which texts, comes from `aggregating`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.request import Request
from ollama_nb.frames.packing import Budget
from ollama_nb.frames.running import NotAsked, RunStopped, answer_rows, pace_of
from ollama_nb.frames.sampling import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ollama_nb.errors import OllamaNbError
    from ollama_nb.frames.running import RowAnswer

PART = "These are some of the texts, not all. Answer for these; your answer is put together later."
PUT_TOGETHER = "These are answers about parts of the texts. Put them together into one answer."
READ_A_WRITTEN = 20  # tokens of a prompt that take about as long as one of an answer


class Reduction:
    """Rounds of questions, each about many texts, until each group of texts has one answer.

    Attributes
    ----------
    errors
        Of the last call of `answers`: why a group has none, None for each that has one.
    """

    def __init__(
        self,
        instruction: str,
        model: str,
        fields: Mapping[str, Any],
        max_tokens: int,
        how: Mapping[str, Any],
    ) -> None:
        self._instruction, self._model, self._fields, self._how = instruction, model, fields, how
        said = [instruction, PART, PUT_TOGETHER, str(fields.get("system") or "")]
        self._budget = Budget.of(model, fields["options"], "\n".join(said), max_tokens)
        self._rows: list[RowAnswer] = []
        self.errors: list[OllamaNbError | None] = []

    def answers(self, groups: Sequence[list[str]]) -> list[str | None]:
        """Return an answer for each group, None where there is no text or something failed.

        After Ctrl-C those so far: no other round begins.
        """
        self.errors = [None] * len(groups)
        answers: list[str | None] = [None] * len(groups)
        left = {place: texts for place, texts in enumerate(groups) if texts}
        about = ""
        while left:
            parts = {place: self._budget.parts(texts) for place, texts in left.items()}
            answered = self._round(parts, about)
            about, left = PUT_TOGETHER, {}
            for place, rows in answered.items():
                self.errors[place] = next((row.error for row in rows if row.error), None)
                texts = [row.answer.text.strip() for row in rows if row.answer is not None]
                if self.errors[place] is not None:
                    continue
                if len(texts) == 1:
                    answers[place] = texts[0]
                else:
                    left[place] = texts
            if any(isinstance(error, RunStopped) for error in self.errors):
                for place in left:
                    self.errors[place] = NotAsked()
                break
        return answers

    def num_questions(self, groups: Sequence[list[str]]) -> int:
        """Return how many questions groups take: one a part, and one that puts parts together."""
        counts = [len(self._budget.parts(texts)) for texts in groups if texts]
        return sum(count + (count > 1) for count in counts)

    def pace(self, *, of_full_parts: bool) -> Pace | None:
        """Return how long the questions so far took, or would have taken with full prompts."""
        found = pace_of(self._rows)
        if found is None or not of_full_parts:
            return found
        answers = [row.answer for row in self._rows if row.answer is not None]
        read = sum(answer.prompt_tokens or 0 for answer in answers)
        written = READ_A_WRITTEN * sum(answer.answer_tokens or 0 for answer in answers)
        if not read:
            return found
        longer = (len(answers) * self._budget.tokens + written) / (read + written)
        return Pace(found.seconds * max(longer, 1.0), found.tried)

    def _round(
        self, parts: Mapping[int, list[list[str]]], about: str
    ) -> dict[int, list[RowAnswer]]:
        """Ask about all parts of all groups at once."""
        questions = [
            self._question(texts, about or (PART if len(of_group) > 1 else ""))
            for of_group in parts.values()
            for texts in of_group
        ]
        answered = answer_rows(questions, self._model, **self._how)
        self._rows += answered
        rows = iter(answered)
        return {place: [next(rows) for _ in of_group] for place, of_group in parts.items()}

    def _question(self, texts: Sequence[str], about: str) -> Request:
        told = f"{self._instruction}\n\n{about}".strip()
        listed = "\n\n".join(texts)
        fields = {**self._fields, "prompt": f"{told}\n\n{listed}"}
        return Request("generate", self._model, fields)
