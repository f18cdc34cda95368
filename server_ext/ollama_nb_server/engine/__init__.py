"""One worker process per loaded model: continuous batching over llama_cpp's low-level bindings.

Knows nothing of HTTP, names or templates: those are the rooms above.
"""
