"""From an image's bytes to rows of embeddings, away from the main thread."""
