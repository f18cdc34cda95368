"""One server for many: what its administrator says, and who the callers are.

`settings` is what holds for all, `quota` how much one may use, `tokens` the names of those who call
a server without a Hub.
"""

from __future__ import annotations

from ollama_nb_server.sharing.quota import Quota
from ollama_nb_server.sharing.settings import BadSharing, Sharing

__all__ = ["BadSharing", "Quota", "Sharing"]
