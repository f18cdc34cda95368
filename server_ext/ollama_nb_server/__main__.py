"""The command `ollama-nb`: `ollama-nb serve` runs the stand-alone server."""

from __future__ import annotations

import sys

from ollama_nb_server import require_engine

USAGE = """usage: ollama-nb serve [options]

Ollama's REST API on this machine, for notebooks and for every Ollama client.
`ollama-nb serve --help` lists the options."""


def main() -> None:
    """Run the command that was named."""
    match sys.argv[1:]:
        case ["serve", *rest]:
            sys.exit(_serve(rest))
        case ["-h" | "--help"] | []:
            sys.stdout.write(USAGE + "\n")
        case [word, *_]:
            sys.exit(f"ollama-nb: there is no command {word!r}\n{USAGE}")


def _serve(rest: list[str]) -> int:
    try:
        require_engine()
        from ollama_nb_server.standalone import serve
    except ImportError as error:
        sys.exit(
            f"ollama-nb serve: {error}\nThe server's packages are the extra `server`: "
            "pip install 'ollama-nb[server]'"
        )
    return serve(rest)


if __name__ == "__main__":
    main()
