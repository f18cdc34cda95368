"""What Prometheus is told: totals of the scheduler's records, and what goes on at the moment.

Nothing is measured here. docs/monitoring.md has the table.
"""

from ollama_nb_server.metrics.metrics import Metrics

__all__ = ["Metrics"]
