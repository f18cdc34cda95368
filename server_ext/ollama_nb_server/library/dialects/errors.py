"""The ways in which a model of an older dialect cannot be used.

LibraryError
├── OldDialect            llama.cpp cannot load it, and it is not translated here
├── NoRoomToTranslate     the translated file does not fit on the disk
├── CacheNotWritable      the translated file cannot be written
├── TranslationStuck      another process holds its lock and writes nothing
└── TranslationCancelled  nobody waits for it any more
"""

from __future__ import annotations

from pathlib import Path

from ollama_nb_server.library.errors import LibraryError

GIB = 1 << 30


class OldDialect(LibraryError):
    """A file that an older Ollama made for its own engine; `why` llama.cpp cannot load it."""

    def __init__(self, title: str, why: str) -> None:
        super().__init__(
            f"this is {title} in the GGUF dialect of an older Ollama, which llama.cpp cannot load: "
            f"{why}. Get a GGUF of the same model as llama.cpp writes it, from hf.co, for example "
            "with `%ollama pull hf.co/<user>/<repo>:<quant>`, or pull the model again by its name: "
            "it may have been published anew"
        )
        self.title, self.why = title, why


class NoRoomToTranslate(LibraryError):
    """The disk of the cache is too small for the translated file."""

    def __init__(self, needed: int, free: int, folder: Path) -> None:
        super().__init__(
            f"this model is in the GGUF dialect of an older Ollama; its translation needs "
            f"{needed / GIB:.1f} GiB in {folder}, where {free / GIB:.1f} GiB are free: free some "
            "disk space, or let OLLAMA_NB_CACHE name a folder on another disk"
        )
        self.needed, self.free, self.folder = needed, free, folder


class CacheNotWritable(LibraryError):
    """The translated file cannot be written where it belongs; `error` is the system's."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            "this model is in the GGUF dialect of an older Ollama, and its translation cannot be "
            f"written in {folder}: {error.strerror or error}; let OLLAMA_NB_CACHE name a folder "
            "that can be written, on a disk with room for the model"
        )
        self.folder, self.error = folder, error


class TranslationStuck(LibraryError):
    """Another process began to write the translated file, and does not go on."""

    def __init__(self, lock: Path, seconds: float) -> None:
        super().__init__(
            "this model is in the GGUF dialect of an older Ollama, and another process holds the "
            f"lock {lock} of its translation, but has written nothing for {seconds:g} s: end that "
            f"process (on Linux `fuser {lock}` tells its number), then try again"
        )
        self.lock, self.seconds = lock, seconds


class TranslationCancelled(LibraryError):
    """Whoever wanted the model has left before it was translated."""

    def __init__(self) -> None:
        super().__init__("the translation of this model was cancelled")
