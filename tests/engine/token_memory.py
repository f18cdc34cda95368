"""A context's memory as a test sees it: which token lies at which position of which slot.

Like llama.cpp's, it moves the data of a slot with the next computation only, while what it says
about the slots is true at once: a copy that is taken or put in between is of the wrong tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ollama_nb_server.engine.prefixes.kv_cache import KVCache
from ollama_nb_server.engine.salting import BELOW

BYTES_A_TOKEN = 10


@dataclass(frozen=True)
class SavedState:
    tokens: list[int]

    @property
    def nbytes(self) -> int:
        return BYTES_A_TOKEN * len(self.tokens)


@dataclass
class TokenMemory:
    """`whole`: it cannot be cut. `window`: copies hold no older tokens than so many.

    `cells` are the places in a slot's `data` where its positions lie.
    """

    num_slots: int
    whole: bool = False
    window: int = 0
    has_room: bool = True
    cells: dict[int, list[int]] = field(default_factory=dict)
    data: dict[int, dict[int, int]] = field(default_factory=dict)
    moves: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cells = {slot: [] for slot in range(self.num_slots)}
        self.data = {slot: {} for slot in range(self.num_slots)}

    # --- as the cache sees it ---------------------------------------------------------------------

    def forget(self, seq: int, from_pos: int = 0) -> bool:
        if self.whole and 0 < from_pos < self.length(seq):
            return False
        del self.cells[seq][from_pos:]
        return True

    def drop(self, seq: int, begin: int, end: int) -> None:
        del self.cells[seq][begin:end]

    def move(self, source: int, target: int) -> None:
        assert not self.cells[target]
        self.moves.append((source, target))
        self.cells[target], self.cells[source] = self.cells[source], []

    def first_position(self, seq: int) -> int:
        there = [self.data[seq][cell] for cell in self.cells[seq]]
        return there.count(GONE) if there else -1

    def state_bytes(self, seq: int) -> int:
        return BYTES_A_TOKEN * self.length(seq)

    def save(self, seq: int) -> SavedState | None:
        lost = max(self.length(seq) - self.window, 0) if self.window else 0
        there = [self.data[seq].get(cell, GONE) for cell in self.cells[seq][lost:]]
        return SavedState([GONE] * lost + there) if self.has_room else None

    def restore(self, seq: int, state: SavedState) -> bool:
        assert not self.cells[seq]
        self._put(seq, state.tokens)
        return True

    # --- as the test does -------------------------------------------------------------------------

    def length(self, seq: int) -> int:
        return len(self.cells[seq])

    def compute(self, seq: int, position: int, tokens: list[int]) -> None:
        """Put the next tokens of a sequence in."""
        self.move_data()
        assert self.length(seq) == position, "computed behind a gap, or over what is there"
        self._put(seq, tokens)

    def move_data(self) -> None:
        """What every computation does first."""
        for source, target in self.moves:
            self.data[target] = dict(self.data[source])
        self.moves.clear()

    def contents(self, seq: int) -> list[int]:
        """What lies in a slot when its data have moved."""
        place = seq
        for source, target in reversed(self.moves):
            place = source if target == place else place
        return [self.data[place][cell] for cell in self.cells[seq]]

    def _put(self, seq: int, tokens: list[int]) -> None:
        begin = max(self.cells[seq], default=-1) + 1
        self.cells[seq] += range(begin, begin + len(tokens))
        self.data[seq] |= dict(enumerate(tokens, begin))


GONE = -99


def assert_sound(cache: KVCache) -> None:
    """No slot and no entry without an owner, and nothing that two have."""
    slots = [sequence.slot for sequence in cache.sequences]
    known, store = cache.prefixes, cache.prefixes.store
    assert len(set(slots)) == len(slots) == cache.num_slots - cache.num_free
    assert not set(slots) & set(known.idle)
    assert all(prefix.slot == slot for slot, prefix in known.idle.items())
    assert set(known.running) == (set(cache.sequences) if known.is_on else set())
    assert len(known) == len(known.running) + len(known.idle) + len(store)
    assert store.num_bytes == sum(prefix.state.nbytes for prefix in store) <= store.max_bytes


def assert_contents(cache: KVCache, memory: TokenMemory) -> None:
    """Every slot and every copy holds the tokens that it is said to hold; other slots are empty."""
    for sequence in cache.sequences:
        assert memory.length(sequence.slot) == sequence.computed
        assert_alike(memory.contents(sequence.slot), sequence.tokens[: sequence.computed], memory)
    for slot, prefix in cache.prefixes.idle.items():
        assert memory.length(slot) == prefix.computed
        assert_alike(memory.contents(slot)[: prefix.length], tokens_of(prefix.keys), memory)
    for prefix in cache.prefixes.store:
        assert_alike(prefix.state.tokens[: prefix.length], tokens_of(prefix.keys), memory)
    taken = {sequence.slot for sequence in cache.sequences} | set(cache.prefixes.idle)
    assert all(memory.length(slot) == 0 for slot in range(memory.num_slots) if slot not in taken)


def assert_alike(there: list[int], wanted: list[int], memory: TokenMemory) -> None:
    """The same tokens, but for those that no layer with a window will look at again."""
    gone = max(len(wanted) - memory.window, 0) if memory.window else 0
    assert len(there) == len(wanted)
    assert there[gone:] == wanted[gone:]


def tokens_of(keys: list[int]) -> list[int]:
    """The tokens that keys stand for, whoever's they are."""
    return [key & (1 << BELOW) - 1 if key >= 1 << BELOW else key for key in keys]
