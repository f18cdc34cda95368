"""How much, how long, how often: the protocol's numbers (ollama-models.md 3.4), in one value."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1_000_000
MIB = 1 << 20
MAX_HALF_BYTES = 2 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Ollama's numbers, and those of ours that keep a hostile registry harmless."""

    # A blob is moved in parts: a sixteenth of it, but neither very small nor very large.
    num_parts: int = 16
    min_part_bytes: int = 100 * MB
    max_part_bytes: int = 1000 * MB
    # What fails for a while is tried again after 1, 2, 4, ... seconds.
    tries: int = 6
    quick_tries: int = 3  # for a single question, whose asker is waiting
    first_pause_s: float = 1.0
    progress_bytes: int = MIB  # a try that brought so much was none in vain: counting starts anew
    connect_s: float = 15.0
    stall_s: float = 30.0  # without a byte
    head_s: float = 60.0  # until the head of an answer is complete
    # What a registry was sent it stores before it answers; of a whole blob it takes the hash first.
    commit_s: float = 600.0
    stored_bytes_per_s: int = 10 * MB
    max_redirects: int = 10
    max_manifest_bytes: int = 4 * MIB
    max_text_bytes: int = 64 * 1024  # of a token's answer
    max_reason_bytes: int = 1024  # of an error's body
    # Part files are brought up to date so often that a killed server loses little.
    checkpoint_bytes: int = 16 * MIB
    flush_bytes: int = 16 * MIB  # comes to the disk at once, so that the end need not wait
    buffers_bytes: int = 32 * MIB  # of all parts of a blob together
    stagger_s: float = 0.1  # parts start so far apart: a fast registry is then read in order
    # Somebody else's download: one by a program that knows no lock, and one of ours that died.
    foreign_s: float = 30.0
    orphan_s: float = 1.0
    stuck_s: float = 300.0  # one that holds its lock, and to whom nothing comes

    def half_bytes(self, num_parts: int) -> int:
        """How large the two halves of a part's buffer are, when so many parts are on their way."""
        at_once = min(max(num_parts, 1), self.num_parts)
        return min(self.buffers_bytes // (2 * at_once), MAX_HALF_BYTES)

    def stored_s(self, num_bytes: int) -> float:
        """How long a registry may be silent when it was sent so many bytes."""
        return self.stall_s + num_bytes / self.stored_bytes_per_s

    def pause_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        return self.first_pause_s * float(2 ** (failures - 1))
