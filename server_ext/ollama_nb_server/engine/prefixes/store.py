"""States of sequences on the host, as many bytes as are allowed; who was used longest ago goes.

Those of prompts that were only scored go before all others: a column of them is no conversation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from ollama_nb_server.engine.prefixes.prefix import Prefix


class PrefixStore:
    """Prefixes that lie in no slot, by their last use."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0
        self._prefixes: OrderedDict[Prefix, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._prefixes)

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self._prefixes)

    def __contains__(self, prefix: Prefix) -> bool:
        return prefix in self._prefixes

    def put(self, prefix: Prefix) -> list[Prefix]:
        """Keep one that has a copied state; those who had to go for it.

        One that is larger than all that is allowed goes itself.
        """
        self._prefixes[prefix] = None
        self.num_bytes += prefix.state.nbytes
        gone = []
        while self.num_bytes > self.max_bytes:
            gone.append(prefix if prefix.state.nbytes > self.max_bytes else self._next_to_go())
            self.remove(gone[-1])
        return gone

    def _next_to_go(self) -> Prefix:
        passing = (prefix for prefix in self._prefixes if prefix.passing)
        return next(passing, None) or next(iter(self._prefixes))

    def touch(self, prefix: Prefix) -> None:
        """Take note that it was used."""
        self._prefixes.move_to_end(prefix)

    def remove(self, prefix: Prefix) -> None:
        """Let go of one."""
        del self._prefixes[prefix]
        self.num_bytes -= prefix.state.nbytes
