"""Responses that are errors, raised as the `ollama` client raises them; `failures` translates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_nb.connection.patience import RETRY_AT_HEADER, return_s

if TYPE_CHECKING:
    import httpx

LONGEST_ERROR_BYTES = 100_000


def raise_error(response: httpx.Response) -> None:
    """Raise what the `ollama` client would raise for this response, if it is an error.

    Its `return_s` and `retry_at` are what the response says about another try.
    """
    import ollama

    if response.is_error:
        error = ollama.ResponseError(response.text[:LONGEST_ERROR_BYTES], response.status_code)
        error.return_s = return_s(response)  # type: ignore[attr-defined]
        error.retry_at = response.headers.get(RETRY_AT_HEADER)  # type: ignore[attr-defined]
        raise error
