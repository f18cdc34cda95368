"""`%ollama`: look after the models and the server, one word at a time.

Each subcommand is one function of `catalogue` or `connection`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from ollama_nb.errors import MagicUsage
from ollama_nb.magics.line import parsed
from ollama_nb.magics.session import in_one_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from ollama_nb.connection import Connection


@magics_class
class ManagingMagics(Magics):
    """The magic that manages models."""

    @magic_arguments()
    @argument("--token", help="Secret of the server, for connect.")
    @argument("subcommand", nargs="?", default="status", help="One of the words above.")
    @argument("argument", nargs="?", metavar="MODEL|URL", help="What the subcommand is about.")
    @no_var_expand
    @line_magic
    @in_one_line
    def ollama(self, line: str) -> Any:
        """Look after the models and the server.

        list            the models that the server has, as a DataFrame
        ps              the models that are loaded, as a DataFrame
        show MODEL      what is known about a model, as a Series
        stop MODEL      unload a model from memory
        use MODEL       let this model be the one that calls mean when they name none
        connect URL     use the server at this address; without one, look for a server again
        status          which server is in use, and how it was found

        Where MODEL is left out, the default model is meant.
        """
        asked = parsed(line, self.ollama.parser)
        if asked.subcommand not in SUBCOMMANDS:
            known = ", ".join(SUBCOMMANDS)
            raise MagicUsage(f"%ollama has no {asked.subcommand!r}; it has {known}")
        return SUBCOMMANDS[asked.subcommand](asked.argument, asked)


def _list(_: str | None, __: Namespace) -> Any:
    from ollama_nb.catalogue import models

    return models()


def _ps(_: str | None, __: Namespace) -> Any:
    from ollama_nb.catalogue import running

    return running()


def _show(model: str | None, _: Namespace) -> Any:
    from ollama_nb.catalogue import show

    return show(model)


def _stop(model: str | None, _: Namespace) -> None:
    from ollama_nb.catalogue import stop

    _say(f"{stop(model)} is unloaded")


def _use(model: str | None, _: Namespace) -> None:
    from ollama_nb.preferences import settings

    if model is None:
        raise MagicUsage("%ollama use needs the name of a model; %ollama list shows them")
    settings.model = model
    _say(f"calls that name no model mean {model}")


def _connect(url: str | None, options: Namespace) -> None:
    from ollama_nb.connection import connect

    _say(_described(connect(url, token=options.token)))


def _status(_: str | None, __: Namespace) -> None:
    from ollama_nb.connection import current

    _say(_described(current()))


def _described(connection: Connection) -> str:
    return f"{connection.url} (version {connection.version}), found by: {connection.how}"


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")


SUBCOMMANDS: dict[str, Callable[[str | None, Namespace], Any]] = {
    "list": _list,
    "ps": _ps,
    "show": _show,
    "stop": _stop,
    "use": _use,
    "connect": _connect,
    "status": _status,
}
