"""Vectors of texts: packed into tiles, pooled."""
