"""`create()`: make a model of another one, or of local files, as a Modelfile says.

The HTTP API knows no Modelfile: it is read here, its files are sent as blobs, and the rest
becomes the fields of the request.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.calling import reachable, steps
from ollama_nb.connection.failures import translated
from ollama_nb.connection.options import checked
from ollama_nb.display.progress import Progress
from ollama_nb.errors import BadModelfile, NoSuchModelFile, NotText, ServerWarning
from ollama_nb.managing.catalogue import checked_name
from ollama_nb.managing.modelfile import Modelfile, parse
from ollama_nb.managing.modelfile.ingredients import gathered
from ollama_nb.managing.modelfile.scanner import decoded
from ollama_nb.managing.transfers import following, taken
from ollama_nb.managing.uploading import uploaded
from ollama_nb.warning import warn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ollama_nb.managing.modelfile.ingredients import Ingredients

NEXT_TIME = "nothing was created, and files that the server has by now are not sent again"


def create(
    name: str,
    modelfile: str | Path | None = None,
    *,
    from_: str | Path | None = None,
    adapter: str | Path | None = None,
    quantize: str | None = None,
    template: str | None = None,
    system: str | None = None,
    license: str | Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    messages: Sequence[Mapping[str, str]] | None = None,
    show: bool = True,
) -> None:
    """Make a model (`%%modelfile`, `%ollama create`).

    Parameters
    ----------
    name
        Of the new model. One of that name is replaced.
    modelfile
        The text of a Modelfile, or the path of one as a `Path`. In a text, relative paths begin
        in the working directory; in a file, beside it.
    from_
        What a FROM line says: a model of the server, a GGUF file, a folder with safetensors or
        GGUF files, or a blob of the server (`@sha256:...`). The first file of a split one brings
        the others along.
    adapter
        What an ADAPTER line says: a LoRA, as a GGUF file or a folder with safetensors.
    quantize
        `q8_0`, `q4_K_M`, `q4_K_S` or `f16`: how to shrink the weights, which must be F16, BF16 or
        F32.
    template, system, license, parameters, messages
        What the lines of these names say. They stand in for those of `modelfile`; parameters are
        put beside them one by one.
    show
        Show bars while files are sent and the server works; text lines stay.

    Raises
    ------
    BadModelfile
        With the line on which it went wrong.
    NoSuchModelFile, UnfitModelFile
        For files.
    TransferStopped
        On Ctrl-C.
    NotDone
        When the server reports that it could not.

    Examples
    --------
    >>> create("pirate", from_="demo", system="You are a pirate.")  # doctest: +SKIP
    >>> create("mine", from_="weights/model-q8_0.gguf")  # doctest: +SKIP
    """
    checked_name(name)
    asked, folder = _asked(modelfile, from_)
    asked.adapters += [] if adapter is None else [str(adapter)]
    asked.template = template or asked.template
    asked.system = system or asked.system
    asked.licenses = _licenses(license) or asked.licenses
    asked.parameters |= checked(parameters or {})
    asked.messages = [dict(message) for message in messages or ()] or asked.messages
    for parameter in asked.without_effect:
        warn(f"PARAMETER {parameter} has no effect", ServerWarning)
    wording = {**asked.wording(), **({"quantize": quantize} if quantize else {})}
    _make(name, gathered(asked, folder), wording, show=show)


def _asked(modelfile: str | Path | None, from_: str | Path | None) -> tuple[Modelfile, Path]:
    """Return what is asked for, and the folder in which relative paths begin."""
    if modelfile is not None and from_ is not None:
        raise BadModelfile("give either a Modelfile, which has a FROM line, or from_, not both")
    if from_ is not None:
        return Modelfile(sources=[str(from_)]), Path.cwd()
    if isinstance(modelfile, Path):
        return parse(_text_of(modelfile)), modelfile.parent.absolute()
    if not isinstance(modelfile, str):
        raise NotText("the Modelfile", modelfile)
    return parse(modelfile), Path.cwd()


def _text_of(file: Path) -> str:
    if not file.is_file():
        raise NoSuchModelFile(str(file), Path.cwd())
    return decoded(file.read_bytes())


def _licenses(given: str | Sequence[str] | None) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _make(name: str, ingredients: Ingredients, wording: Mapping[str, Any], *, show: bool) -> None:
    progress = Progress("creating", "created", name)
    with following(progress, show=show, next_time=NEXT_TIME) as tell:
        connection = reachable()
        with translated(connection, name, progress.doing):
            parts = {
                "files": uploaded(connection, ingredients.files, tell),
                "adapters": uploaded(connection, ingredients.adapters, tell),
                "draft_files": uploaded(connection, ingredients.drafts, tell),
            }
            body = {"model": name, "from": ingredients.model, **parts, **wording}
            given = {field: value for field, value in body.items() if value}
            taken(steps(connection, "/api/create", {**given, "stream": True}), tell)
