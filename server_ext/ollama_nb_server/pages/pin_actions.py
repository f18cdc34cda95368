"""Pins that administrators change on the page: models that are kept, for good or at times."""

from __future__ import annotations

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.preparation import find
from ollama_nb_server.library.errors import LibraryError
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.pages.forms import BadForm, Form, key_of, pin_of
from ollama_nb_server.pages.pulls import Pulls
from ollama_nb_server.pages.words import days_in_words, hours_in_words, is_for_good
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing.rules import EditPins
from ollama_nb_server.sharing.windows import Pin

Pins = tuple[Pin, ...]


def shown(name: str) -> str:
    """A model's name as lists have it, where it is one."""
    try:
        return ModelName.parse(name).display
    except LibraryError:
        return name


def pinned_for_good(pins: Pins) -> set[str]:
    """The models that are pinned at all times, as lists name them."""
    return {shown(name) for pin in pins if is_for_good(pin) for name in pin.models}


def in_words(pin: Pin) -> str:
    """Which models, and when."""
    models = ", ".join(map(shown, pin.models))
    if is_for_good(pin):
        return f"{models} for good"
    return f"{models}, {days_in_words(pin)}, {hours_in_words(pin)}"


async def pin(app: AppContext, _: Pulls, caller: Caller, form: Form) -> str:
    """A model for good."""
    return await _add(app, caller, {"value": form.get("value", "")})


async def pin_at(app: AppContext, _: Pulls, caller: Caller, form: Form) -> str:
    """A model at the times that the form says."""
    return await _add(app, caller, form)


async def unpin(app: AppContext, _: Pulls, caller: Caller, form: Form) -> str:
    """A model no more, where it was pinned for good."""
    name = shown(form.get("value", ""))

    def edit(there: Pins) -> Pins:
        if name not in pinned_for_good(there):
            raise BadForm(f"{name} is not pinned for good")
        left = [_without(pin, name) if is_for_good(pin) else pin for pin in there]
        return tuple(pin for pin in left if pin.models)

    await _change(app, caller, edit)
    return f"{name} is pinned no more; its usual time begins."


async def remove(app: AppContext, _: Pulls, caller: Caller, form: Form) -> str:
    """A whole pin."""
    gone: list[Pin] = []

    def edit(there: Pins) -> Pins:
        keys = [key_of(pin) for pin in there]
        if form.get("value", "") not in keys:
            raise BadForm("somebody has changed that pin meanwhile: look at it again")
        place = keys.index(form["value"])
        gone.append(there[place])
        return (*there[:place], *there[place + 1 :])

    await _change(app, caller, edit)
    return f"The pin of {in_words(gone[0])} is removed."


async def reset(app: AppContext, _: Pulls, caller: Caller, __: Form) -> str:
    """Those of the configuration."""
    await _change(app, caller, None)
    return "The pins are those of the configuration again."


async def _add(app: AppContext, caller: Caller, form: Form) -> str:
    model = await find(app, caller, form.get("value", "").strip(), to_use=False)
    new = pin_of(form, model.name.display)

    def edit(there: Pins) -> Pins:
        if key_of(new) in map(key_of, there):
            raise BadForm(f"there is that pin already: {in_words(new)}")
        return (*there, new)

    await _change(app, caller, edit)
    return f"New pin: {in_words(new)}."


async def _change(app: AppContext, caller: Caller, edit: EditPins | None) -> None:
    by = caller.name or "administrator"
    await app.rules.change_pins(edit, by, app.executors.write)


def _without(pin: Pin, name: str) -> Pin:
    left = tuple(each for each in pin.models if shown(each) != name)
    return pin.model_copy(update={"models": left})
