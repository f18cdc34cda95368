"""What went wrong, in our words: turns what httpx and the `ollama` client raise into `errors`.

Whether a call is tried again is decided by its caller.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING

from ollama_nb.connection.current import forget
from ollama_nb.connection.patience import TOTAL_S
from ollama_nb.errors import (
    AnswerFailed,
    ModelNotFound,
    NotAllowed,
    NotDone,
    OllamaNbError,
    QuotaSpent,
    ServerNotReady,
    ServerRefused,
    ServerWentAway,
)
from ollama_nb.times import in_local_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    import ollama

    from ollama_nb.connection.connection import Connection


# Verbs for which the named model need not be there: what is not found is another one.
# A 403 of these words does not know who asks.
STRANGER = re.compile(r"unauthorized|forbidden|token|xsrf|http", re.IGNORECASE)
MAKING = ("pulling", "creating")


@contextlib.contextmanager
def translated(connection: Connection, model: str, doing: str = "") -> Iterator[None]:
    """Turn what httpx and the `ollama` client raise into our errors.

    Parameters
    ----------
    connection, model
        What is asked, and about which model.
    doing
        What is done with the model, such as "pulling"; empty where an answer is expected.
    """
    import httpx
    import ollama

    try:
        yield
    except OllamaNbError:  # what the caller gave: it would be taken for the server's fault below
        raise
    except httpx.TransportError as error:
        forget(connection)
        cause = str(error) or type(error).__name__
        raise ServerWentAway(connection.url, cause) from error
    except ConnectionError as error:  # the client's word for httpx.ConnectError
        forget(connection)
        raise ServerWentAway(connection.url, "nothing answers there") from error
    except ValueError as error:  # neither JSON nor a message of the API
        sentence = f"{connection.url} does not speak Ollama's API"
        raise _failed(doing, model, sentence, 200) from error
    except ollama.ResponseError as error:
        raise _from_response(connection, model, doing, error) from None


def _failed(doing: str, model: str, sentence: str, status: int) -> OllamaNbError:
    if doing:
        return NotDone(doing, model, sentence, status)
    return AnswerFailed(model, sentence, status)


def _from_response(
    connection: Connection, model: str, doing: str, error: ollama.ResponseError
) -> OllamaNbError:
    sentence = _sentence(error.error, error.status_code)
    if getattr(error, "return_s", None) is not None:  # whoever asked has waited for that
        forget(connection)
        return ServerNotReady(connection.url, sentence, TOTAL_S)
    if retry_at := in_local_time(getattr(error, "retry_at", None)):
        return QuotaSpent(sentence, retry_at)
    if error.status_code == 401 or (error.status_code == 403 and STRANGER.search(sentence)):
        return ServerRefused(connection.url, sentence)
    if error.status_code == 403:
        return NotAllowed(connection.url, sentence)
    if error.status_code == 404 and "not found" in sentence and doing not in MAKING:
        return ModelNotFound(model, _names(connection))
    return _failed(doing, model, sentence, error.status_code)


def _names(connection: Connection) -> list[str]:
    import httpx
    import ollama

    with contextlib.suppress(httpx.TransportError, ollama.ResponseError, ValueError):
        entries = connection.listed("tags", at_once=True)
        return [str(entry.get("name") or entry.get("model")) for entry in entries]
    return []


def _sentence(text: str, status: int) -> str:
    """Return the server's own words, but never a page of HTML (a proxy's error page).

    Where Ollama passes on what its runner said, the words are in JSON within the JSON.
    """
    if not text.strip() or text.lstrip().startswith("<"):
        return f"HTTP {status}"
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(text)["error"]["message"])
    return text.strip()
