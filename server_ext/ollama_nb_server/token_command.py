"""`ollama-nb token`: who may call a server that has no Hub to ask."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ollama_nb_server.environment import Settings
from ollama_nb_server.sharing.tokens import BadTokens, TokenFile


def arguments(default: Path) -> argparse.ArgumentParser:
    """What may be said on the command line."""
    parser = argparse.ArgumentParser(
        prog="ollama-nb token",
        description="Names that may call `ollama-nb serve`, each with a token of its own. A server "
        "that finds the file asks everybody for one, and sees changes within a second.",
    )
    parser.add_argument(
        "--file", type=Path, default=default, help="where they are kept (%(default)s)"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="make a token, which is shown once")
    add.add_argument("name")
    add.add_argument("--admin", action="store_true", help="may change what all share")
    add.add_argument("--group", action="append", default=[], help="may be said several times")
    commands.add_parser("remove", help="revoke a token").add_argument("name")
    commands.add_parser("list", help="who has one")
    return parser


def token(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; the exit status."""
    options = arguments(Settings.from_environ(environ).tokens).parse_args(argv)
    file = TokenFile(options.file)
    try:
        _run(file, options)
    except (BadTokens, OSError) as error:
        sys.stderr.write(f"ollama-nb token: {error}\n")
        return 1
    return 0


def _run(file: TokenFile, options: argparse.Namespace) -> None:
    match options.command:
        case "add":
            groups = frozenset(options.group)
            made = file.add(options.name, is_admin=options.admin, groups=groups)
            sys.stdout.write(f"{made}\n")
            sys.stderr.write(
                f"{options.name}'s token, shown only now: OLLAMA_API_KEY for clients of Ollama\n"
            )
        case "remove":
            file.remove(options.name)
        case "list":
            for one in file.all():
                more = " ".join(sorted(one.groups))
                role = "admin" if one.is_admin else "user"
                sys.stdout.write(f"{one.name}\t{role}\t{one.made:%Y-%m-%d}\t{more}\n")
