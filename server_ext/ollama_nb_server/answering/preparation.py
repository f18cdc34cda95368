"""The steps before a worker is asked for: which model, may it do this, with which options.

Shared by generate, chat and embed; the order of checks is each verb's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.engine.messages import AUTOMATIC, Loaded, LoadSpec, SamplingParams
from ollama_nb_server.library import bundled
from ollama_nb_server.library.errors import LibraryError
from ollama_nb_server.library.model import Model
from ollama_nb_server.library.names import ModelName, parse_ref
from ollama_nb_server.library.store import Store
from ollama_nb_server.scheduling.context import Caller, RequestContext
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.scheduling.runner import LOAD_OPTIONS
from ollama_nb_server.sharing.windows import InForce
from ollama_nb_server.wire.durations import KeepAlive
from ollama_nb_server.wire.errors import ClosedNow, DoesNotSupport, MissingModel, NotAllowed
from ollama_nb_server.wire.options import Options

MIN_CTX = 4
MIN_CTX_VISION = 2048  # an image takes some hundred tokens (reference/ollama-models.md 8.3)


async def find(
    app: AppContext,
    caller: Caller,
    name: str | None,
    *,
    fold_case: bool = True,
    cloud: str = "remote model is unavailable",
    to_use: bool = True,
) -> Model:
    """The model a request names, to be used or only looked at.

    Raises
    ------
    MissingModel, InvalidName, ConflictingSource, CloudDisabled, ModelNotFound
        Each with the name as it was sent.
    ClosedNow
        If it may not be used now.
    """
    if not (name or "").strip():
        raise MissingModel
    asked = name or ""
    work = app.executors.write if _is_installed_now(app.store, asked) else app.executors.read
    read = partial(app.catalog(caller).model, asked, fold_case=fold_case, cloud=cloud)
    model = await work(read)
    if to_use:
        _refuse_closed(app, caller, model)
    return model


def _refuse_closed(app: AppContext, caller: Caller, model: Model) -> None:
    if held := closing(app, caller, model.name, is_own=bool(model.owner)):
        window = held.window
        what = "models" if window.none else model.name.display
        raise ClosedNow(what, window.name, _ends(app, held), window.allow or ())


def closing(app: AppContext, caller: Caller, name: ModelName, *, is_own: bool) -> InForce | None:
    """The window that holds now and in which the caller may not use a model."""
    for held in _windows(app, caller):
        if held.window.refuses(name.display, is_own=is_own):
            return held
    return None


def _windows(app: AppContext, caller: Caller) -> list[InForce]:
    """The windows that hold now for whoever asks; none does for who manages."""
    sharing = app.settings.sharing
    if caller.manages or not sharing.windows:
        return []
    return sharing.in_force(caller.groups, datetime.now(timezone.utc))


def _ends(app: AppContext, window: InForce) -> str:
    """When a window ends, as a clock on the wall shows it."""
    if window.end is None:
        return ""
    return f"{window.end.astimezone(app.settings.sharing.zone):on %a %d %b at %H:%M (%Z)}"


def _is_installed_now(store: Store, asked: str) -> bool:
    """Whether this is the bundled model, which is written into the store when first asked for."""
    try:
        name = parse_ref(asked).name
    except LibraryError:
        return False
    return bundled.is_asked_for(name) and not store.manifests.has(name)


def require_completion(model: Model, asked: str, verb: str) -> None:
    """Refuse a model that only embeds."""
    if "completion" not in model.capabilities:
        raise DoesNotSupport(asked, verb, quoted=True)


def require(model: Model, *capabilities: str) -> None:
    """Refuse what the model lacks, all of it in one sentence (reference/ollama-models.md 8.2)."""
    missing = [name for name in capabilities if name not in model.capabilities]
    if missing:
        raise DoesNotSupport(model.name.full, *missing)


def merged_options(app: AppContext, model: Model, request: Mapping[str, Any] | None) -> Options:
    """Built-in defaults, the model's parameters and the request's options, the latter winning."""
    default = app.settings.context_length or 4096
    options = Options.merge(model.parameters, request, default_num_ctx=default)
    options = replace(options, num_thread=options.num_thread or app.settings.num_thread)
    if "vision" not in model.capabilities:
        return options
    return replace(options, num_ctx=max(options.num_ctx, MIN_CTX_VISION))


def options_for(
    app: AppContext, context: RequestContext, model: Model, request: Mapping[str, Any] | None
) -> Options:
    """The options that count for whoever asks: threads are an administrator's, as loading is.

    Windows have answers end early.
    """
    options = merged_options(app, model, request)
    if context.caller.manages:
        return options
    usual = _usual(app, model)
    if options.num_thread != usual.num_thread:
        notes = (*options.notes, _of_administrators("num_thread"))
        options = replace(options, num_thread=usual.num_thread, notes=notes)
    for held in _windows(app, context.caller):
        most = held.window.num_predict
        if most is not None and not 0 < options.num_predict <= most:
            note = f"window {held.window.name!r}: answers end after {most} tokens"
            options = replace(options, num_predict=most, notes=(*options.notes, note))
    return options


def _of_administrators(option: str) -> str:
    return (
        f"option '{option}' has no effect here: administrators set it for all who share the model"
    )


def lease(
    app: AppContext,
    context: RequestContext,
    model: Model,
    options: Options,
    keep_alive: KeepAlive | None,
    ticket: int | None = None,
    least_ctx: int = 0,
    *,
    for_pin: bool = False,
) -> AbstractAsyncContextManager[Lease]:
    """A worker for this model with these load options.

    One that is loaded with a smaller context will do if that is `least_ctx` (0: none will).
    """
    load, denied = _of_load(app, context, model, options)
    if keep_alive is not None and not context.caller.manages:
        denied = (*denied, "keep_alive")
    spec = LoadSpec(
        model_path=str(model.weights),
        adapters=tuple(str(path) for path in model.adapters),
        projector=str(model.projectors[0]) if model.projectors else "",
        draft=str(model.drafts[-1]) if model.drafts else "",
        num_ctx=max(load.num_ctx, MIN_CTX),
        num_parallel=app.settings.num_parallel,
        num_batch=load.num_batch,
        num_gpu=load.num_gpu,
        main_gpu=load.main_gpu,
        use_mmap=load.use_mmap,
        use_mlock=bool(load.use_mlock),
        numa=bool(load.numa),
        gpu_overhead=app.settings.gpu_overhead,
        sched_spread=app.settings.sched_spread,
        flash=app.settings.flash_attention,
        kv_cache_type=app.settings.kv_cache_type,
        calibration=str(app.settings.choices) if app.settings.calibrate else "",
        rope_frequency_base=max(load.rope_frequency_base, 0.0),
        rope_frequency_scale=max(load.rope_frequency_scale, 0.0),
        prefix_cache_bytes=_prefix_cache_bytes(app),
        num_express=app.scheduler.num_express,
    )
    return app.scheduler.lease(
        spec,
        label=model.name.display,
        digest=model.digest,
        explicit=LOAD_OPTIONS & load.given,
        keep_alive=keep_alive.seconds if keep_alive and context.caller.manages else None,
        notes=(*options.notes, *map(_of_administrators, denied)),
        for_pin=for_pin,
        context=context,
        least_ctx=least_ctx,
        need_bytes=sum(layer.size for layer in model.manifest.layers),
        model=model,
        ticket=ticket,
        apart=not context.caller.manages and bool(model.owner) and model.base is None,
    )


def _of_load(
    app: AppContext, context: RequestContext, model: Model, options: Options
) -> tuple[Options, tuple[str, ...]]:
    """The options that a load is to follow, and the names of those that are not the caller's.

    A model is loaded for all who share the server, as the administrator wants it: what a user's own
    Modelfile says of loading counts as little as what their requests say.
    """
    if context.caller.manages:
        return options, ()
    usual = _usual(app, model)
    names = LOAD_OPTIONS | {"rope_frequency_base", "rope_frequency_scale"}
    denied = {name for name in names if getattr(options, name) != getattr(usual, name)}
    if options.num_ctx > usual.num_ctx:
        denied.add("num_ctx")
    return usual, tuple(sorted(denied))


def _usual(app: AppContext, model: Model) -> Options:
    """The options with which a model is loaded for all: never those of a user's own Modelfile."""
    if not model.owner:
        return merged_options(app, model, None)
    return merged_options(app, model.base or replace(model, parameters={}), None)


def unload(app: AppContext, context: RequestContext, model: Model) -> None:
    """Have a model go as soon as nobody uses it.

    Raises
    ------
    NotAllowed
        If the caller shares it with others and does not manage it.
    """
    if not context.caller.manages:
        what = f"unload {model.name.display}"
        raise NotAllowed(context.user, what, app.settings.sharing.contact, "since all share it")
    app.scheduler.unload(str(model.weights))


def _prefix_cache_bytes(app: AppContext) -> int:
    wanted = app.settings.prefix_cache_mb
    return AUTOMATIC if wanted is None else wanted << 20


def context_limit(options: Options, info: Loaded) -> int:
    """Tokens this request may use: its own `num_ctx`, at most what a slot has.

    Where it names none, it is all of the slot.
    """
    if "num_ctx" not in options.given:
        return info.num_ctx
    return min(max(options.num_ctx, MIN_CTX), info.num_ctx)


def reproducible(app: AppContext, options: Options) -> bool:
    """Whether an answer must not depend on who else is served; what it costs: docs/reproducibility.

    A seed asks for it. Temperature 0 means "the likeliest token" to most who set it, and is asked
    by many at once: it counts only where the administrator says so.
    """
    policy = app.settings.reproducible
    greedy = policy == "always" and options.temperature <= 0
    return policy != "never" and (options.seed != -1 or greedy)


def sampling(options: Options) -> SamplingParams:
    """The request's sampler chain; a seed of -1 is drawn here."""
    seed = secrets.randbits(32) if options.seed == -1 else options.seed % (1 << 32)
    return SamplingParams(
        seed=seed,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        typical_p=options.typical_p or 1.0,
        repeat_last_n=options.repeat_last_n,
        repeat_penalty=options.repeat_penalty,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        mirostat=options.mirostat,
        mirostat_tau=options.mirostat_tau,
        mirostat_eta=options.mirostat_eta,
    )
