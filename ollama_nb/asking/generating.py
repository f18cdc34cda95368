"""`generate()`: one prompt, one answer.

How a call runs is in `streaming`; conversations are in `chatting`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.answers.schemas import wanted
from ollama_nb.asking.request import Request
from ollama_nb.asking.streaming import ask
from ollama_nb.asking.templating import Rendered, text_alone
from ollama_nb.asking.thinking import Thinking, thinking_of
from ollama_nb.connection.options import checked
from ollama_nb.display.screens import screen
from ollama_nb.errors import NoPrompt, NotText
from ollama_nb.managing.catalogue import default_model
from ollama_nb.pictures.picture import pictures_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ollama_nb.answers.generation import Generation
    from ollama_nb.answers.schemas import Schema


def generate(
    prompt: str | Rendered,
    *,
    model: str | None = None,
    system: str | Rendered | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    options: Mapping[str, Any] | None = None,
    schema: Any = None,
    format: Mapping[str, Any] | str | None = None,
    schema_in_prompt: bool | None = None,
    suffix: str | None = None,
    context: Sequence[int] | None = None,
    raw: bool = False,
    images: Any = None,
    think: bool | str | None = None,
    think_budget: int | None = None,
    keep_alive: float | str | None = None,
    show: bool = False,
) -> Generation:
    """Let a model continue from a prompt and return its answer.

    Parameters
    ----------
    prompt
        Taken literally, braces and all. `render("... {{ df }} ...", df=df)` is one with variables.
    model
        Default: `settings.model`, else a loaded one, else the newest, else `demo`.
    system
        Replaces the model's system text; may be of `render()` too.
    temperature, seed
        The two options used most; 0 and a seed make an answer repeatable.
    options
        Any of Ollama's options by name, such as `num_predict` (most tokens to write) or `stop`.
    schema
        The answer is JSON of this form: a short form such as `"name, age int, tags [str]"`, a
        pydantic model, a dataclass, a TypedDict, an Enum, a type such as `list[Person]`, or a JSON
        Schema (a dict or its text). `.data` is then an object of it, `.frame` a table.
    format
        As in Ollama's API: "json" for any JSON object, or a JSON Schema.
    schema_in_prompt
        Whether the fields of the schema, their types and what they mean are told below the prompt.
        Default: for a short form that has descriptions, as in `"age int: in years"`.
    suffix
        The text after the gap: the answer is what belongs between the prompt and it.
    context
        `answer.context` of an earlier call, to continue from it.
    raw
        Send the prompt without the model's template.
    images
        Pictures to look at, for a model that can: a list of paths, bytes, PIL images, matplotlib
        figures or axes, NumPy arrays (height x width, or x 3 or 4 for colours; uint8, or floats
        from 0 to 1), or one of these.
    think
        Whether a model that can do so thinks before it answers (False: it does not), or how hard:
        "low", "medium", "high", "max". Without it a thinking model thinks. The thought is in
        `.thinking`, and folded above the answer.
    think_budget
        The most tokens of thought; then the answer begins. Of ollama_nb's own server only.
    keep_alive
        How long the model stays loaded afterwards: seconds, or text such as "10m".
    show
        Stream the answer into the running cell.

    Returns
    -------
    Generation
        A `str` with `.stats`, `.model`, `.done_reason`, `.json`, `.data`, `.frame` and more.

    Raises
    ------
    Interrupted
        On Ctrl-C; its `answer` holds what had come.
    BadSchema
        If no schema can be made of `schema` or `format`.
    NoPrompt
        If there is nothing to go on from.
    NotAPicture
        If one of `images` is none, or is not there.
    BadThinking
        For a level or a budget that there is not.
    OllamaNbError
        When there is no server, no such model, or no answer.

    Examples
    --------
    >>> generate("Name a colour.", temperature=0, seed=1)  # doctest: +SKIP
    'Blue.'
    >>> generate("A fox of 3 years.", schema="animal, age int").data.age  # doctest: +SKIP
    3
    """
    request = generate_request(
        prompt,
        model=model,
        system=system,
        options=merged(options, temperature=temperature, seed=seed),
        schema=wanted(schema, format, schema_in_prompt),
        suffix=suffix,
        context=context,
        raw=raw,
        images=images,
        thinking=thinking_of(think, think_budget),
        keep_alive=keep_alive,
    )
    return ask(request, screen(request.model, visible=show, is_json=request.schema is not None))


def generate_request(
    prompt: str | Rendered,
    *,
    model: str | None = None,
    system: str | Rendered | None = None,
    options: Mapping[str, Any] | None = None,
    schema: Schema | None = None,
    suffix: str | Rendered | None = None,
    context: Sequence[int] | None = None,
    raw: bool = False,
    images: Any = None,
    thinking: Thinking | None = None,
    keep_alive: float | str | None = None,
) -> Request:
    """Return the request that `generate()` sends.

    Raises
    ------
    NotText, NotAPicture, BadTemplate
        If something cannot be sent.
    """
    thinking = thinking or Thinking()
    _refuse_what_is_no_text(prompt, suffix)
    shown = prompt.images if isinstance(prompt, Rendered) else ()
    pictures = [*shown, *pictures_of(images)]
    text = prompt.text if isinstance(prompt, Rendered) else prompt
    if not (text.strip() or suffix or pictures or context or raw):
        raise NoPrompt("the prompt is empty: generate() needs a text to go on from")
    fields: dict[str, Any] = {
        "prompt": text,
        "options": dict(options or {}),
        "raw": raw or None,
        "think": thinking.think,
        "keep_alive": keep_alive,
    }
    fields |= {} if system is None else {"system": text_alone(system, "the system text")}
    fields |= {} if suffix is None else {"suffix": text_alone(suffix, "the suffix")}
    fields |= {"images": pictures} if pictures else {}
    fields |= {} if context is None else {"context": list(context)}
    return Request("generate", default_model(model), fields, schema, thinking.extensions)


def _refuse_what_is_no_text(prompt: object, suffix: object) -> None:
    if not isinstance(prompt, str | Rendered):
        raise NotText("the prompt", prompt)
    if not isinstance(suffix, str | Rendered | None):
        raise NotText("the suffix", suffix)


def merged(options: Mapping[str, Any] | None, **named: float | int | None) -> dict[str, Any]:
    """Put the options that have an argument of their own beside the rest; check the names."""
    given = {name: value for name, value in named.items() if value is not None}
    return checked({**(options or {}), **given})
