"""One request for scores: what is sent to /api/score, and to a server that has no such route.

Errors are raised as the `ollama` client raises them; the caller translates.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.scores import Score
from ollama_nb.connection.bodies import as_json
from ollama_nb.connection.lines import ACCEPT
from ollama_nb.connection.phases import EXTRAS
from ollama_nb.connection.responses import raise_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx

NO_SUCH_ROUTE = (404, 405, 501)
JSON = {"Content-Type": "application/json"}
OF_SCORES = ("messages", "system", "raw", "images", "keep_alive", "options")


class NoScores(Exception):
    """The server has no route for scores; whoever asked does without."""


@dataclass(frozen=True)
class ScoreRequest:
    """Some prompts, and the texts that may stand behind each of them.

    Attributes
    ----------
    model, prompts, choices
        What is asked of whom.
    fields
        Those of the API beside them, as for generate: system, raw, images, options, keep_alive.
        With `messages` there is one prompt, a conversation, and its text is not sent.
    """

    model: str
    prompts: tuple[str, ...]
    choices: tuple[str, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)

    def alone(self) -> list[ScoreRequest]:
        """Return a request for each of the prompts."""
        return [
            ScoreRequest(self.model, (prompt,), self.choices, self.fields)
            for prompt in self.prompts
        ]

    def question(self, prompt: str) -> dict[str, Any]:
        """All that the scores behind a prompt depend on beside the model's weights."""
        said = {name: value for name, value in self.fields.items() if name != "keep_alive"}
        said["options"] = dict(sorted((said.get("options") or {}).items()))
        return {"verb": "score", "prompt": prompt, "choices": self.choices, **said}

    async def scores(
        self, http: httpx.AsyncClient, headers: Mapping[str, str]
    ) -> tuple[list[Score], Mapping[str, Any]]:
        """Ask, and return a score a prompt and what else the server said.

        Raises
        ------
        NoScores
            If there is no /api/score.
        ollama.ResponseError, httpx.TransportError, ValueError
            Meant for `translated`.
        """
        body = {**self._body(), **self._asked(), "choices": list(self.choices)}
        response = await _posted(http, "/api/score", body, headers)
        if response.status_code in NO_SUCH_ROUTE and "model" not in response.text:
            raise NoScores
        raise_error(response)
        answer = response.json()
        return [self._score(result) for result in _results(answer, len(self.prompts))], answer

    def _asked(self) -> dict[str, Any]:
        if self.fields.get("messages"):
            return {}
        if self.fields.get("images"):
            return {"prompt": self.prompts[0]}
        return {"prompts": list(self.prompts)}

    def _score(self, result: Mapping[str, Any]) -> Score:
        logprobs = [float(one["logprob"]) for one in result["scores"]]
        if len(logprobs) != len(self.choices):
            raise ValueError("not a score for each choice")
        return Score.of(self.choices, logprobs)

    async def preferences(
        self, http: httpx.AsyncClient, headers: Mapping[str, str], at_once: asyncio.Semaphore
    ) -> list[Score]:
        """Ask for an answer that is one of the choices instead, a request a prompt.

        Raises
        ------
        ollama.ResponseError, httpx.TransportError, ValueError
            Meant for `translated`.
        """

        async def preferred(prompt: str) -> Score:
            async with at_once:
                return await self._preferred(http, headers, prompt)

        return list(await asyncio.gather(*map(preferred, self.prompts)))

    async def _preferred(
        self, http: httpx.AsyncClient, headers: Mapping[str, str], prompt: str
    ) -> Score:
        import ollama

        messages = self.fields.get("messages")
        if messages and messages[-1].get("role") == "assistant":
            told = "only ollama_nb's own server scores what may go on from an answer"
            raise ollama.ResponseError(told, 400)
        verb, asked = ("chat", {}) if messages else ("generate", {"prompt": prompt})
        body = {
            **self._body(),
            **asked,
            "stream": False,
            "format": {"type": "string", "enum": list(self.choices)},
            "options": {"temperature": 0, **(self.fields.get("options") or {})},
        }
        response = await _posted(http, f"/api/{verb}", body, headers)
        raise_error(response)
        answer = response.json()
        said = str(answer["message"]["content"] if messages else answer["response"])
        choice = _unquoted(said)
        if choice not in self.choices:
            told = f"it answered {said[:40]!r}, which is none of the choices"
            raise ollama.ResponseError(told, response.status_code)
        return Score(self.choices, choice)

    def _body(self) -> dict[str, Any]:
        given = {name: self.fields.get(name) for name in OF_SCORES}
        return {
            "model": self.model,
            **{name: value for name, value in given.items() if value is not None},
        }


async def _posted(
    http: httpx.AsyncClient, route: str, body: Mapping[str, Any], headers: Mapping[str, str]
) -> httpx.Response:
    # In ASCII: a lone surrogate can be sent too. A model may take its time.
    content = as_json(body)
    return await http.post(
        route, content=content, headers={**JSON, **ACCEPT, **EXTRAS, **headers}, timeout=None
    )


def _results(answer: Any, number: int) -> Sequence[Mapping[str, Any]]:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or len(results) != number:
        raise ValueError("not a result for each prompt")
    return results


def _unquoted(said: str) -> str:
    try:
        value = json.loads(said)
    except json.JSONDecodeError:
        return said.strip()
    return value if isinstance(value, str) else said.strip()
