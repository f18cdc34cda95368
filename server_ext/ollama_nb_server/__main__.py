"""The command `ollama-nb`: `serve` runs the stand-alone server, `token` names who may call it.

`doctor` looks at the machine.
"""

from __future__ import annotations

import os
import sys

from ollama_nb_server import require_engine

USAGE = """usage: ollama-nb serve [options]
       ollama-nb token add NAME [--admin] | remove NAME | list
       ollama-nb doctor [--json]

serve: Ollama's REST API on this machine, for notebooks and for every Ollama client.
token: who may call that server, where several people share it.
doctor: what this machine has for models, what was chosen for each of them, and why.
`ollama-nb serve --help` lists the options."""


def main() -> None:
    """Run the command that was named."""
    match sys.argv[1:]:
        case ["serve" | "doctor" as command, *rest]:
            sys.exit(_run(command, rest))
        case ["token", *rest]:
            from ollama_nb_server.token_command import token

            sys.exit(token(rest, os.environ))
        case ["-h" | "--help"] | []:
            sys.stdout.write(USAGE + "\n")
        case [word, *_]:
            sys.exit(f"ollama-nb: there is no command {word!r}\n{USAGE}")


def _run(command: str, rest: list[str]) -> int:
    try:
        require_engine()
        if command == "doctor":
            from ollama_nb_server.doctor import doctor

            return doctor(rest, os.environ)
        from ollama_nb_server.standalone import serve
    except ImportError as error:
        sys.exit(
            f"ollama-nb {command}: {error}\nThe server's packages are the extra `server`: "
            "pip install 'ollama-nb[server]'"
        )
    return serve(rest)


if __name__ == "__main__":
    main()
