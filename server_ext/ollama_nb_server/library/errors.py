"""The ways in which the library refuses or fails.

LibraryError
├── ModelNotFound      no manifest of that name
├── RemoteModel        a model in the cloud, of which only the name is here
├── BlobNotFound       no such blob
├── BlobVanished       a blob was removed while a model was being made of it
├── StoreBroken        a manifest or a layer cannot be read
├── StoreLocked        another process holds the lock of the store, for too long
├── NotGGUF            a file that is none, or a cut one
├── BadLicense, UnsupportedQuantization, AlreadyQuantized: Ollama answers these with 500
└── BadRequestFact     what was sent cannot be right
    ├── InvalidName, ConflictingSource
    ├── InvalidDigest, DigestMismatch
    ├── BadModelfile, BadTemplate
    ├── UnknownFileType, NotRelative, NamedTwice, NothingToCreateFrom, OneAdapterOnly, BadDraft
    └── BadInfo, ServerPath, CannotRewrite, SplitIncomplete
"""

from __future__ import annotations

from pathlib import Path


class LibraryError(Exception):
    """Base of everything the library raises on purpose."""


class ModelNotFound(LibraryError):
    """No model of that name; `asked` is the name as it was sent, `display` its short form."""

    def __init__(self, asked: str, display: str) -> None:
        super().__init__(f"model '{asked}' not found")
        self.asked, self.display = asked, display


class RemoteModel(LibraryError):
    """What is stored stands for a model in the cloud; `display` is its short name."""

    def __init__(self, display: str) -> None:
        super().__init__("ollama cloud is disabled: remote model is unavailable")
        self.display = display


class BlobNotFound(LibraryError):
    """No blob of that digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(f'blob "{digest}" not found')
        self.digest = digest


class BlobVanished(LibraryError):
    """A blob was there, and somebody removed it before the manifest that needs it was written."""

    def __init__(self, digest: str) -> None:
        super().__init__(
            f"blob {digest} was removed meanwhile, perhaps with another model that used it: do it "
            "again"
        )
        self.digest = digest


class StoreBroken(LibraryError):
    """A file of the store does not hold what it should."""


class StoreLocked(LibraryError):
    """Nothing can be changed in a store, since another process is about to and does not end."""

    def __init__(self, root: Path, lock: Path, seconds: float) -> None:
        super().__init__(
            f"the model store {root} cannot be changed now: another process has held its lock "
            f"{lock} for more than {seconds:g} s; wait until it has finished, or end it (on Linux "
            f"`fuser {lock}` tells its number), then try again"
        )
        self.root, self.lock, self.seconds = root, lock, seconds


class BadRequestFact(LibraryError):
    """Base of what is wrong with what somebody sent."""


class NotGGUF(BadRequestFact):
    """The file is no GGUF file, or its end is missing."""

    def __init__(self, reason: str = "") -> None:
        super().__init__("supplied file was not in GGUF format" + (f": {reason}" if reason else ""))
        self.reason = reason


class InvalidName(BadRequestFact):
    """A name that the grammar does not allow; `part` says which of two it was."""

    def __init__(self, text: str, part: str = "name") -> None:
        super().__init__(f'{part} "{text}" is invalid')
        self.text, self.part = text, part


class ConflictingSource(BadRequestFact):
    """Both `:cloud` and `:local`."""

    def __init__(self, text: str) -> None:
        super().__init__(f'use either :local or :cloud, not both: "{text}"')


class InvalidDigest(BadRequestFact):
    """Not `sha256:` and 64 hexadecimal digits."""

    def __init__(self, text: str) -> None:
        super().__init__("invalid digest format")
        self.text = text


class DigestMismatch(BadRequestFact):
    """The bytes are others than were announced."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f'digest mismatch, expected "{expected}", got "{got}"')
        self.expected, self.got = expected, got


class BadModelfile(BadRequestFact):
    """A Modelfile that cannot be read; `line` counts from 1 (None: no line is to blame)."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"(line {line}): {reason}")
        self.reason, self.line = reason, line


class BadTemplate(BadRequestFact):
    """The text is no Go template; `line` and `column` count from 1 (None: no place is to blame)."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        place = "" if line is None else f" (line {line}, column {column})"
        super().__init__(f"template error: {reason}{place}")
        self.reason, self.line, self.column = reason, line, column


class UnknownFileType(BadRequestFact):
    """Files that are neither GGUF nor safetensors."""

    def __init__(self) -> None:
        super().__init__("unknown type")


class NamedTwice(BadRequestFact):
    """Two files of one name, or one whose name is another's folder."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is there twice: every file needs a name of its own")
        self.name = name


class NotRelative(BadRequestFact):
    """A file name that leads out of its folder."""

    def __init__(self, path: str) -> None:
        super().__init__("file path must be relative")
        self.path = path


class NothingToCreateFrom(BadRequestFact):
    """Neither `from` nor `files`."""

    def __init__(self) -> None:
        super().__init__("neither 'from' or 'files' was specified")


class OneAdapterOnly(BadRequestFact):
    """More than one GGUF adapter."""

    def __init__(self) -> None:
        super().__init__("only one adapter is currently supported")


class BadDraft(BadRequestFact):
    """A draft model that does not go with the model."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"DRAFT {name}: {why}")


class BadInfo(BadRequestFact):
    """A value in `info` is of another kind."""

    def __init__(self, key: str, kind: str) -> None:
        super().__init__(f'info field "{key}" must be {kind}')
        self.key, self.kind = key, kind


class ServerPath(BadRequestFact):
    """A Modelfile names a file by its path on the server, which nobody may read this way."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path!r} is a path on the server: upload the file with POST /api/blobs/sha256:..., "
            "then write FROM @sha256:... or use `files` (in a notebook `%%modelfile` does that)"
        )
        self.path = path


class UnsupportedQuantization(LibraryError):
    """A type that Ollama does not make; it answers with 500."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"unsupported quantization type {name} - supported types are F32, F16, Q4_K_S, Q4_K_M, "
            "Q8_0"
        )
        self.name = name


class AlreadyQuantized(LibraryError):
    """A quantised model cannot be quantised again."""

    def __init__(self) -> None:
        super().__init__("quantization is only supported for F16, BF16 and F32 models")


class CannotRewrite(BadRequestFact):
    """llama.cpp cannot read a GGUF file, or write it anew; `reason` is its own."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the GGUF file cannot be used: {reason}")
        self.reason = reason


class SplitIncomplete(BadRequestFact):
    """Parts of a model in several files are missing, or do not belong together."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"split GGUF: {reason}")


class BadLicense(LibraryError):
    """`license` is neither a text nor a list of texts; Ollama answers 500."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"json: cannot unmarshal {kind} into Go value of type []string")
