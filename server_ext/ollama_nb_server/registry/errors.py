"""The ways in which a pull or a push fails.

RegistryError
├── FileDoesNotExist, Unauthorized, Refused    what the registry answered
├── RealmElsewhere, TooManyRedirects, UnexpectedAnswer
├── Unreachable, CutShort, PartStalled, PlaceGone   the way there
├── MaxRetriesExceeded                         one of the above, too often
├── ManifestUnavailable, NotAManifest, SizeDiffers, WrongDigest, NeedsMLX
├── StoreFull, UnusableKey, DownloadStuck      this side
└── UnqualifiedName, NoManifest                push: what was asked for
"""

from __future__ import annotations


class RegistryError(Exception):
    """Base of everything this room raises on purpose; what is `temporary` is worth another try."""

    temporary: bool = False


class FileDoesNotExist(RegistryError):
    """The registry has no such manifest or blob."""

    def __init__(self) -> None:
        super().__init__("file does not exist")


class Unauthorized(RegistryError):
    """The registry does not let us, token or not."""

    def __init__(self) -> None:
        super().__init__("unauthorized: access denied")


class Refused(RegistryError):
    """Any other status from 400 on; `body` is the beginning of what the registry said."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}" if body else str(status))
        self.status = status
        self.temporary = status >= 500 or status in (408, 425, 429)


class RealmElsewhere(RegistryError):
    """The registry sends for a token to a host that is not its own."""

    def __init__(self, realm: str, host: str) -> None:
        super().__init__(f'realm host "{realm}" does not match original host "{host}"')


class TooManyRedirects(RegistryError):
    """The registry sends round in circles."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"maximum redirects exceeded ({limit}) for directURL")


class UnexpectedAnswer(RegistryError):
    """An answer that the protocol does not have."""


class Unreachable(RegistryError):
    """No answer; `url` without its query, which may hold a secret."""

    def __init__(self, method: str, url: str, cause: str, *, temporary: bool) -> None:
        super().__init__(f'{method.capitalize()} "{url}": {cause}')
        self.temporary = temporary


class CutShort(RegistryError):
    """The connection ended before the answer did."""

    temporary = True

    def __init__(self, cause: str = "unexpected EOF") -> None:
        super().__init__(cause)


class PartStalled(RegistryError):
    """No byte for a while."""

    temporary = True

    def __init__(self) -> None:
        super().__init__("part stalled")


class PlaceGone(RegistryError):
    """The address that the registry gave for a blob refuses; the registry may give a new one."""

    temporary = True


class MaxRetriesExceeded(RegistryError):
    """Tried often enough."""

    def __init__(self, cause: RegistryError) -> None:
        super().__init__(f"max retries exceeded: {cause}")


class ManifestUnavailable(RegistryError):
    """A pull that ends before it began."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"pull model manifest: {cause}")


class NotAManifest(RegistryError):
    """The registry's answer is no manifest of a model."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the registry's answer is not the manifest of a model: {reason}")


class SizeDiffers(RegistryError):
    """The manifest says one size, the registry another."""

    def __init__(self, digest: str, announced: int, found: int) -> None:
        super().__init__(
            f"size mismatch: {digest} has {announced} bytes by the manifest, {found} by its host"
        )


class WrongDigest(RegistryError):
    """The bytes are not those that were asked for; they are thrown away."""

    def __init__(self, want: str, got: str) -> None:
        super().__init__(f"digest mismatch, file must be downloaded again: want {want}, got {got}")


class NeedsMLX(RegistryError):
    """A model in tensors, which only Ollama's MLX engine runs."""

    def __init__(self) -> None:
        super().__init__("this model requires MLX support, but the MLX runtime is not available")


class StoreFull(RegistryError):
    """There is no room for a blob."""

    def __init__(self, folder: str, missing_bytes: int) -> None:
        super().__init__(
            f"no space left in the model store {folder}: {missing_bytes / 1e6:,.1f} MB more are "
            "needed; remove a model, or let OLLAMA_MODELS name a folder on a larger disk"
        )


class DownloadStuck(RegistryError):
    """Another process downloads the same blob, and nothing of it comes any more."""

    def __init__(self, digest: str, lock: str, seconds: float) -> None:
        super().__init__(
            f"another process holds the lock {lock} and has downloaded nothing of {digest} for "
            f"{seconds:g} s: end that process (on Linux `fuser {lock}` tells its number), then "
            "pull again; what it has downloaded is gone on with"
        )


class UnusableKey(RegistryError):
    """The key that registries know this machine by cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"the key {path} cannot be used: {reason}")


class UnqualifiedName(RegistryError):
    """A push of a name that is none."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unqualified name: {name}")


class NoManifest(RegistryError):
    """A push of a model that is not there."""

    def __init__(self, path: str) -> None:
        super().__init__(f"open {path}: no such file or directory")
