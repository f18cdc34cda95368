"""The words of `%ollama`: what each takes, and the one function that it calls.

Nothing that is written on the line is ignored: what a word does not take is refused.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import MagicUsage
from ollama_nb.managing.card import PARTS
from ollama_nb.times import in_local_time, in_units

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping

    from ollama_nb.connection.connection import Connection


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One word of `%ollama`."""

    call: Callable[[Namespace], Any]
    words: str = ""  # what it takes, as the error says it
    at_least: int = 0
    at_most: int | None = 0  # None: any number
    options: tuple[str, ...] = ()
    names_models: bool = False


def run(asked: Namespace) -> Any:
    """Do what the line says.

    Raises
    ------
    MagicUsage
        For an unknown word, too few or too many names, an option that does not belong to it.
    """
    known = SUBCOMMANDS.get(asked.subcommand)
    if known is None:
        raise MagicUsage(f"%ollama has no {asked.subcommand!r}; it has {', '.join(SUBCOMMANDS)}")
    _check(asked, known)
    return known.call(asked)


def _check(asked: Namespace, known: Subcommand) -> None:
    too_many = known.at_most is not None and len(asked.words) > known.at_most
    if too_many or len(asked.words) < known.at_least:
        takes = known.words or "no name"
        raise MagicUsage(f"%ollama {asked.subcommand} takes {takes}; %ollama list shows the models")
    for option, value in vars(asked).items():
        if option not in ("subcommand", "words", *known.options) and value:
            name = {"source": "from"}.get(option, option)
            raise MagicUsage(f"%ollama {asked.subcommand} has no option --{name}")


def _first(asked: Namespace) -> str | None:
    return asked.words[0] if asked.words else None


def _list(_: Namespace) -> Any:
    from ollama_nb.managing.catalogue import models

    return models()


def _ps(_: Namespace) -> Any:
    from ollama_nb.managing.catalogue import ps

    return ps()


def _usage(asked: Namespace) -> Any:
    from ollama_nb.managing.accounts import usage

    by = None if asked.by == "none" else asked.by or "model"
    frame = usage(asked.since, by=by, user=asked.user, everybody=asked.everybody)
    for quota in frame.attrs["quotas"]:
        _say(_quota(quota))
    return frame


def _quota(quota: Mapping[str, Any]) -> str:
    """Say how a quota stands.

    >>> _quota({"kind": "tokens", "used": 1200, "limit": 5000, "window_s": 3600.0, "free_at": None})
    '1,200 of 5,000 tokens are used within 1 h'
    >>> _quota({"kind": "tokens", "used": 40, "limit": 50, "window_s": 600.0, "free_at": None})
    '40 of 50 tokens are used within 10 min'
    """
    words = quota["kind"].replace("_", " ")
    free_at = in_local_time(quota["free_at"])
    more = f"; there is more at {free_at:%Y-%m-%d %H:%M:%S}" if free_at else ""
    window = in_units(quota["window_s"])
    return f"{quota['used']:,} of {quota['limit']:,} {words} are used within {window}{more}"


def _show(asked: Namespace) -> Any:
    from ollama_nb.managing.describing import show

    card = show(_first(asked))
    wanted = [part for part in PARTS if getattr(asked, part)]
    if not wanted:
        return card
    if len(wanted) > 1:
        raise MagicUsage(f"show one text at a time, not --{' and --'.join(wanted)}")
    text = card.part(wanted[0])
    if text is None:
        raise MagicUsage(f"{card.name} has no {wanted[0]}")
    return _say(text.rstrip("\n"))


def _pull(asked: Namespace) -> None:
    from ollama_nb.managing.transfers import pull

    pull(asked.words[0], insecure=asked.insecure)


def _push(asked: Namespace) -> None:
    from ollama_nb.managing.transfers import push

    push(asked.words[0], insecure=asked.insecure)


def _create(asked: Namespace) -> None:
    from ollama_nb.managing.creating import create

    if asked.source and asked.file:
        raise MagicUsage("%ollama create takes -f MODELFILE or --from WHAT, not both")
    if not (asked.source or asked.file or Path("Modelfile").is_file()):
        raise MagicUsage(
            "%ollama create needs -f MODELFILE or --from WHAT; %%modelfile takes it from a cell"
        )
    file = None if asked.source else Path(asked.file or "Modelfile").expanduser()
    create(asked.words[0], file, from_=asked.source, quantize=asked.quantize)


def _cp(asked: Namespace) -> None:
    from ollama_nb.managing.catalogue import copy

    copy(*asked.words)
    _say("{} is also called {}".format(*asked.words))


def _rm(asked: Namespace) -> None:
    from ollama_nb.managing.catalogue import remove

    for name in asked.words:
        remove(name)
        _say(f"{name} is removed")


def _stop(asked: Namespace) -> None:
    from ollama_nb.managing.catalogue import stop

    _say(f"{stop(_first(asked))} is unloaded")


def _use(asked: Namespace) -> None:
    from ollama_nb.connection.preferences import settings

    settings.model = asked.words[0]
    _say(f"calls that name no model mean {settings.model}")


def _connect(asked: Namespace) -> None:
    from ollama_nb.connection.current import connect

    _say(_described(connect(_first(asked), token=asked.token)))


def _status(_: Namespace) -> None:
    from ollama_nb.connection.current import current

    _say(_described(current()))


def _described(connection: Connection) -> str:
    return f"{connection.url} (version {connection.version}), found by: {connection.how}"


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")


_COPY = Subcommand(_cp, "the name of a model and a second name for it", 2, 2, names_models=True)
_REMOVE = Subcommand(_rm, "the names of one or more models", 1, None, names_models=True)
SUBCOMMANDS: dict[str, Subcommand] = {
    "list": Subcommand(_list),
    "ps": Subcommand(_ps),
    "show": Subcommand(_show, "the name of one model", 0, 1, PARTS, names_models=True),
    "pull": Subcommand(_pull, "the name of one model", 1, 1, ("insecure",), names_models=True),
    "push": Subcommand(_push, "the name of one model", 1, 1, ("insecure",), names_models=True),
    "create": Subcommand(
        _create, "the name of the new model", 1, 1, ("source", "file", "quantize")
    ),
    "cp": _COPY,
    "copy": _COPY,
    "rm": _REMOVE,
    "remove": _REMOVE,
    "stop": Subcommand(_stop, "the name of one model", 0, 1, names_models=True),
    "usage": Subcommand(_usage, options=("by", "since", "user", "everybody")),
    "use": Subcommand(_use, "the name of one model", 1, 1, names_models=True),
    "connect": Subcommand(_connect, "one address", 0, 1, ("token",)),
    "status": Subcommand(_status),
}
