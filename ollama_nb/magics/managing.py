"""`%ollama` and `%%modelfile`: look after the models and the server.

What each word of `%ollama` does, and which options it takes, is in `subcommands`.
"""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from ollama_nb.connection.options import parse_pairs
from ollama_nb.magics.line import parsed
from ollama_nb.magics.session import in_one_line
from ollama_nb.magics.subcommands import run


@magics_class
class ManagingMagics(Magics):
    """The magics that manage models."""

    @magic_arguments()
    @argument("subcommand", nargs="?", default="status", help="One of the words above.")
    @argument("words", nargs="*", metavar="MODEL|URL", help="What the subcommand is about.")
    @argument("-f", "--file", metavar="MODELFILE", help="create: the path of a Modelfile.")
    @argument(
        "--from",
        dest="source",
        metavar="WHAT",
        help="create: a model, a GGUF file, or a folder with safetensors.",
    )
    @argument(
        "-q",
        "--quantize",
        metavar="TYPE",
        help="create: shrink F16, BF16 or F32 weights to q8_0, q4_K_M or q4_K_S.",
    )
    @argument(
        "--insecure",
        action="store_true",
        help="pull, push: the server may speak plain HTTP to the registry.",
    )
    @argument("--token", help="connect: the server's secret.")
    @argument("--modelfile", action="store_true", help="show: only the Modelfile.")
    @argument("--template", action="store_true", help="show: only the template.")
    @argument("--system", action="store_true", help="show: only the system text.")
    @argument("--license", action="store_true", help="show: only the license.")
    @argument("--parameters", action="store_true", help="show: only the parameters that are set.")
    @argument("--since", metavar="TIME", help="usage: since when, as in 7d or 2026-11-29.")
    @argument(
        "--by",
        metavar="WHAT",
        help="usage: sum up by model (if not said), day, verb, status, code, user, or none of "
        "these.",
    )
    @argument("--user", metavar="NAME", help="usage: of this user, if you manage the server.")
    @argument("--everybody", action="store_true", help="usage: of all, if you manage the server.")
    @no_var_expand
    @line_magic
    @in_one_line
    def ollama(self, line: str) -> Any:
        """Look after the models and the server.

        list               the models that the server has, as a DataFrame
        ps                 the models that are loaded, as a DataFrame
        show MODEL         what is known about a model; with --modelfile, --template, --system,
                           --license or --parameters only that text
        pull MODEL         bring a model from its registry
        push MODEL         put a model into its registry
        create MODEL       make a model: -f MODELFILE, or --from a model, a GGUF file, a folder
        cp MODEL NAME      give a model a second name
        copy MODEL NAME    the same as cp
        rm MODEL ...       remove models from the server
        remove MODEL ...   the same as rm
        stop MODEL         unload a model from memory
        usage              what you have used of a server that several people share, and your
                           quotas; --by, --since, --user, --everybody
        use MODEL          let this model be the one that calls mean when they name none
        connect URL        use the server at this address; without one, look for a server again
        status             which server is in use, and how it was found

        For show and stop, the default model is meant where MODEL is left out. Interrupting the
        kernel stops a pull, push or create on the server too.
        """
        return run(parsed(line, self.ollama.parser))

    @magic_arguments()
    @argument("name", help="What the new model is called. One of that name is replaced.")
    @argument(
        "-q",
        "--quantize",
        metavar="TYPE",
        help="Shrink F16, BF16 or F32 weights to q8_0, q4_K_M or q4_K_S.",
    )
    @argument(
        "-o",
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="A PARAMETER besides those of the cell, such as num_ctx=2048. May be repeated.",
    )
    @no_var_expand
    @cell_magic
    @in_one_line
    def modelfile(self, line: str, cell: str) -> None:
        """Make a model as the Modelfile in this cell says.

        `%%modelfile NAME [options]`, and below it FROM, SYSTEM, TEMPLATE, PARAMETER, ADAPTER,
        LICENSE, MESSAGE and so on. FROM names a model of the server, a GGUF file, or a folder
        with safetensors; files are looked for in the notebook's working directory and sent to
        the server if it does not have them. The cell is taken literally, braces included.
        """
        from ollama_nb.managing.creating import create

        asked = parsed(line, self.modelfile.parser)
        parameters = parse_pairs(asked.option)
        create(asked.name, cell, quantize=asked.quantize, parameters=parameters)
