"""What `test_umap` runs where umap-learn is installed."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from test_plotting import vectors  # noqa: F401

from ollama_nb.frames.errors import BadColumns

mpl.use("agg")


def test_umap_keeps_groups_apart_the_same_way_every_time(vectors):  # noqa: F811
    points = vectors.llm.project("umap")

    assert points.index.equals(vectors.index)
    assert points.iloc[10].isna().all()
    first, second = points[:10].mean(), points[11:].mean()
    assert np.linalg.norm(first - second) > 2 * points[:10].std().max()
    assert points.equals(vectors.llm.project("umap"))
    assert vectors.llm.plot(method="umap").get_xlabel() == "UMAP 1"
    with pytest.raises(BadColumns, match="UMAP needs 4 vectors"):
        vectors[:3].llm.project("umap")
