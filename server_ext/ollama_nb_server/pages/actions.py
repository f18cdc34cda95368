"""What the buttons of the page do, as far as the one who presses them may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ollama_nb_server.answering import generate as generating
from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.pages.pulls import Pulls
from ollama_nb_server.scheduling.context import Caller, RequestContext
from ollama_nb_server.wire.durations import KeepAlive
from ollama_nb_server.wire.errors import NotAllowed
from ollama_nb_server.wire.generate import GenerateRequest

Action = Callable[[AppContext, Pulls, Caller, str], Awaitable[str]]
FOR_GOOD_S = -1
EMBEDS = "embedding"


async def act(app: AppContext, pulls: Pulls, caller: Caller, action: str, value: str) -> str:
    """Do it, and say in a sentence what was done; empty: there is no such action.

    Raises
    ------
    NotAllowed
        If it is an administrator's.
    """
    if action == "end":
        return _end(app, caller, value)
    work = OF_ADMINISTRATORS.get(action)
    if work is None:
        return ""
    if not caller.manages:
        raise NotAllowed(caller.name, f"{action} models", app.settings.sharing.contact)
    return await work(app, pulls, caller, value)


def _end(app: AppContext, caller: Caller, value: str) -> str:
    number = int(value) if value.isascii() and value.isdigit() else 0
    ended = app.live.end(number, None if caller.manages else caller.name)
    return "The request was ended." if ended else "That request is over already."


async def _load(app: AppContext, _: Pulls, caller: Caller, model: str) -> str:
    await _asked(app, caller, model, None)
    return f"{model} is loaded."


async def _keep(app: AppContext, _: Pulls, caller: Caller, model: str) -> str:
    await _asked(app, caller, model, FOR_GOOD_S)
    return f"{model} stays until somebody unloads it."


async def _unload(app: AppContext, _: Pulls, caller: Caller, model: str) -> str:
    await _asked(app, caller, model, 0)
    return f"{model} goes as soon as nobody uses it."


async def _asked(app: AppContext, caller: Caller, model: str, keep_alive: float | None) -> None:
    kept = None if keep_alive is None else KeepAlive.of(keep_alive)
    request = GenerateRequest(model=model, keep_alive=kept, stream=False)
    await generating.generate(app, request, RequestContext(caller))


async def _pull(app: AppContext, pulls: Pulls, _: Caller, model: str) -> str:
    pulls.begin(app, model.strip())
    return f"{model.strip()} is being downloaded."


async def _stop(_: AppContext, pulls: Pulls, __: Caller, model: str) -> str:
    pulls.stop(model)
    return f"The download of {model} was stopped; the next one goes on with it."


OF_ADMINISTRATORS: dict[str, Action] = {
    "load": _load,
    "keep": _keep,
    "unload": _unload,
    "pull": _pull,
    "stop": _stop,
}
