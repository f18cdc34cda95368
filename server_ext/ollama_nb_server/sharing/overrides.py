"""What administrators have changed on the page: a file beside the accounts, for later servers too.

A list in it takes the place of the same list of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from ollama_nb_server.sharing import folder
from ollama_nb_server.sharing.quota import Quota
from ollama_nb_server.sharing.settings import BadSharing
from ollama_nb_server.sharing.windows import Pin

FILE = "overrides.json"
LOCK_S = 10.0


class _Changed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str
    at: datetime


class ChangedQuotas(_Changed):
    """All quotas that hold, who has changed them last, and when."""

    entries: tuple[Quota, ...]


class ChangedPins(_Changed):
    """The same of pins."""

    entries: tuple[Pin, ...]


class Overrides(BaseModel):
    """What holds instead of the configuration's; None: the configuration's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quotas: ChangedQuotas | None = None
    pins: ChangedPins | None = None


class OverridesFile:
    """The file of one model store. Its methods wait for the disk."""

    def __init__(self, models: Path) -> None:
        self._models, self.path = models, models / folder.NAME / FILE

    def read(self) -> Overrides:
        """What it says; nothing, if it is not there.

        Raises
        ------
        BadSharing
            If it is not what it should be, or cannot be read.
        """
        try:
            return Overrides.model_validate_json(self.path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return Overrides()
        except OSError as error:
            raise BadSharing(f"{self.path}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise BadSharing(
                f"{self.path}: {where}: {first['msg']}; mend it, or delete it to go back to the "
                "configuration"
            ) from error

    def change(self, edit: Callable[[Overrides], Overrides]) -> Overrides:
        """Have it changed, by nobody else at the same time; what it says then.

        Raises
        ------
        BadSharing
            As for `read`, or if another process keeps it locked.
        OSError
            If it cannot be written.
        """
        folder.folder(self._models)
        lock = FileLock(self.path.with_suffix(".lock"), timeout=LOCK_S, mode=0o600)
        try:
            with lock:
                changed = edit(self.read())
                text = changed.model_dump_json(indent=2, by_alias=True, exclude_none=True)
                folder.replace_file(self.path, f"{text}\n")
                return changed
        except Timeout as error:
            raise BadSharing(
                f"another process has been changing {self.path} for {LOCK_S:g} s: try again"
            ) from error
