"""How one server is shared by many: what an administrator says of users, groups and models.

Read from a file (the table `[hub]` of a TOML file) or from what `hub.configure` hands over, into
one value. Times in seconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from ollama_nb_server.sharing.patterns import Pattern, matches
from ollama_nb_server.sharing.quota import DAY_S, Quota, in_words
from ollama_nb_server.sharing.windows import InForce, Pin, Window, in_force

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VARIABLE = "OLLAMA_NB_SHARING"  # JSON, from `hub.configure` to the service
TABLE = "hub"


Weight = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class BadSharing(Exception):
    """What an administrator wrote cannot be used; the text says where and why."""


def _zone_name(name: str) -> str:
    try:
        if name:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"there is no zone {name!r} here: its name is like Europe/Berlin (on Windows install "
            "tzdata)"
        ) from None
    return name


def _check_remembered(quotas: Iterable[Quota], days: int) -> None:
    for quota in quotas:
        if quota.window > days * DAY_S:
            window = in_words(quota.window)
            raise ValueError(
                f"what was used in {window} is forgotten after {days} days: set retention_days"
            )


class Sharing(BaseModel):
    """What holds for everybody who shares a server.

    Attributes
    ----------
    managers
        Groups whose members may pull, create, delete and push models, as administrators may.
    contact
        Whom to ask, as it stands in the sentence that refuses something.
    models
        Patterns of model names, and the groups for which these models are there (besides those who
        manage). What no pattern means is there for everybody.
    max_connections
        Connections that there may be at once, of all together.
    max_prompt_tokens
        Tokens of a prompt of who does not manage, as the model reads it; 0: as the context has.
    max_requests_per_user
        Requests of one user, of any kind, that may be under way at once; 0: any number.
    max_request_mb
        A request of who does not manage, uploads of files aside, in millions of bytes.
    max_bodies_mb
        All requests under way together, which are kept in memory; those of a user who does not
        manage may have a fourth of it.
    public
        Patterns of model names: the own texts of these are no secret, and what was computed of
        such a system text for one user is used for all.
    public_documents
        Files of texts that are none either, where prompts to these models begin with them.
    max_private_mb
        What the models of one user's own may take, in millions of bytes; layers that they share
        with models of all do not count. 0: users have no models of their own.
    recheck_s
        Seconds after which the Hub is asked again whether a token is good, and whose groups are
        which: a revoked token stops working by then.
    weights
        Of groups: a user of weight 2 gets twice as much of a busy model as one of weight 1. The
        largest of a user's groups counts, 1 where none is named.
    express_slots
        Slots that a model has beyond the usual ones, for users with nothing running there.
    max_running, max_waiting
        How many requests of one user may run at a model at once (None: as many as there are slots);
        how many may wait for it, or for models to be loaded.
    pins
        Models that are loaded and kept at times: see `windows.Pin`.
    windows
        What may be used at times: see `windows.Window`.
    time_zone
        Of these times, by its IANA name (`Europe/Berlin`); none: the machine's.
    retention_days
        How long the accounts of requests are kept.
    quotas
        How much users may use. Those who manage are under those only that name them or their group.
    metrics_by_user
        Whether Prometheus is told who used what, beside which model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    managers: frozenset[str] = frozenset()
    contact: str = "an administrator of this server"
    models: Mapping[Pattern, frozenset[str]] = {}
    max_connections: Annotated[int, Field(ge=1)] = 800
    max_prompt_tokens: Annotated[int, Field(ge=0)] = 0
    max_requests_per_user: Annotated[int, Field(ge=0)] = 400
    max_request_mb: PositiveInt = 100
    max_bodies_mb: PositiveInt = 1000
    public: tuple[Pattern, ...] = ()
    public_documents: tuple[FilePath, ...] = ()
    max_private_mb: int = Field(default=1000, ge=0)
    recheck_s: int = Field(default=60, ge=1, le=3600)
    weights: Mapping[str, Weight] = {}
    express_slots: Annotated[int, Field(ge=0, le=16)] = 1
    max_running: PositiveInt | None = None
    max_waiting: PositiveInt = 256
    pins: tuple[Pin, ...] = ()
    windows: tuple[Window, ...] = ()
    time_zone: Annotated[str, AfterValidator(_zone_name)] = ""
    retention_days: int = Field(default=90, ge=1)
    quotas: tuple[Quota, ...] = ()
    metrics_by_user: bool = False

    @field_validator("quotas")
    @classmethod
    def _remembered(cls, quotas: tuple[Quota, ...], info: ValidationInfo) -> tuple[Quota, ...]:
        if "retention_days" in info.data:  # else that is what is wrong
            _check_remembered(quotas, info.data["retention_days"])
        return quotas

    def check_quotas(self, quotas: Iterable[Quota]) -> None:
        """See that what counts for quotas is remembered for as long as that takes.

        Raises
        ------
        BadSharing
            If it is not.
        """
        try:
            _check_remembered(quotas, self.retention_days)
        except ValueError as error:
            raise BadSharing(str(error)) from error

    @classmethod
    def of(cls, said: Mapping[str, Any], where: str) -> Sharing:
        """Check what was said.

        Raises
        ------
        BadSharing
            With the field, what is wrong with it, and where it stands.
        """
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise BadSharing(f"{where}: {field}: {first['msg']}") from error

    @classmethod
    def from_file(cls, path: Path) -> Sharing:
        """Read the table `[hub]` of a TOML file; see `of`."""
        try:
            document = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadSharing(f"{path}: {error}") from error
        if not isinstance(document.get(TABLE), dict):
            raise BadSharing(f"{path} has no table [{TABLE}]")
        return cls.of(document[TABLE], str(path))

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Sharing:
        """Read what the variable holds, if it is set; see `of`."""
        try:
            said = json.loads(environ.get(VARIABLE) or "{}")
        except ValueError as error:
            raise BadSharing(f"{VARIABLE}: {error}") from error
        return cls.of(said, VARIABLE)

    def may_manage(self, groups: frozenset[str], *, is_admin: bool) -> bool:
        """Whether an administrator, or a member of these groups, may change what all share."""
        return is_admin or bool(self.managers & groups)

    def may_see(self, name: str, groups: frozenset[str]) -> bool:
        """Whether a model of this short name is there for members of these groups."""
        named = [who for pattern, who in self.models.items() if matches(pattern, name)]
        return not named or any(who & groups for who in named)

    def is_public(self, model: str) -> bool:
        """Whether a model's own texts are no secret; its name is as lists show it."""
        return any(matches(pattern, model) for pattern in self.public)

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of its times; None: the machine's."""
        return ZoneInfo(self.time_zone) if self.time_zone else None

    def in_force(self, groups: frozenset[str], now: datetime) -> list[InForce]:
        """The windows that hold now for members of these groups."""
        return in_force(self.windows, groups, now, self.zone)
