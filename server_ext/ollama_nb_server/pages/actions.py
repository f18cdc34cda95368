"""What the buttons of the page do, as far as the one who presses them may."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from ollama_nb_server.answering import generate as generating
from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.pages import pin_actions, quota_actions
from ollama_nb_server.pages.forms import BadForm, Form
from ollama_nb_server.pages.pulls import Pulls
from ollama_nb_server.scheduling.context import Caller, RequestContext
from ollama_nb_server.wire.durations import KeepAlive
from ollama_nb_server.wire.errors import NotAllowed
from ollama_nb_server.wire.generate import GenerateRequest

log = logging.getLogger(__name__)

Action = Callable[[AppContext, Pulls, Caller, Form], Awaitable[str]]
END = "end"  # what a server that stops still does


async def act(app: AppContext, pulls: Pulls, caller: Caller, action: str, form: Form) -> str:
    """Do it, and say in a sentence what was done; empty: there is no such action.

    What an administrator has done is in the log.

    Raises
    ------
    NotAllowed
        If it is an administrator's.
    BadForm, BadSharing
        If a field of the form cannot be meant so.
    """
    if action == END:
        return _end(app, caller, form.get("value", ""))
    found = OF_ADMINISTRATORS.get(action)
    if found is None:
        return ""
    what, work = found
    if not caller.manages:
        raise NotAllowed(caller.name, what, app.settings.sharing.contact)
    told = await work(app, pulls, caller, form)
    log.info("%s on the page: %s", caller.name or "administrator", " ".join(told.split()))
    return told


def _end(app: AppContext, caller: Caller, value: str) -> str:
    number = int(value) if value.isascii() and value.isdigit() else 0
    ended = app.live.end(number, None if caller.manages else caller.name)
    return "The request was ended." if ended else "That request is over already."


async def _load(app: AppContext, _: Pulls, caller: Caller, form: Form) -> str:
    model = _model(form)
    await _asked(app, caller, model, None)
    return f"{model} is loaded."


async def _unload(app: AppContext, _: Pulls, caller: Caller, form: Form) -> str:
    model = _model(form)
    await _asked(app, caller, model, 0)
    return f"{model} goes as soon as nobody uses it."


async def _asked(app: AppContext, caller: Caller, model: str, keep_alive: float | None) -> None:
    kept = None if keep_alive is None else KeepAlive.of(keep_alive)
    request = GenerateRequest(model=model, keep_alive=kept, stream=False)
    await generating.generate(app, request, RequestContext(caller))


async def _pull(app: AppContext, pulls: Pulls, _: Caller, form: Form) -> str:
    model = _model(form)
    pulls.begin(app, model)
    return f"{model} is being downloaded."


async def _stop(_: AppContext, pulls: Pulls, __: Caller, form: Form) -> str:
    model = _model(form)
    pulls.stop(model)
    return f"The download of {model} was stopped; the next one goes on with it."


def _model(form: Form) -> str:
    model = form.get("value", "").strip()
    if not model:
        raise BadForm("name a model")
    return model


# By the names of buttons: what one may not do who is refused, and what does it.
OF_ADMINISTRATORS: dict[str, tuple[str, Action]] = {
    "load": ("load models", _load),
    "unload": ("unload models", _unload),
    "pull": ("pull models", _pull),
    "stop": ("stop downloads", _stop),
    "pin": ("pin models", pin_actions.pin),
    "unpin": ("unpin models", pin_actions.unpin),
    "pin-at": ("pin models", pin_actions.pin_at),
    "remove-pin": ("unpin models", pin_actions.remove),
    "reset-pins": ("change pins", pin_actions.reset),
    "add-quota": ("change quotas", quota_actions.add),
    "change-quota": ("change quotas", quota_actions.change),
    "remove-quota": ("change quotas", quota_actions.remove),
    "reset-quotas": ("change quotas", quota_actions.reset),
}
