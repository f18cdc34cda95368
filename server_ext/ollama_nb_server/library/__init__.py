"""The model store, Ollama's own on disk: names, manifests, blobs, GGUF metadata, create and delete.

<root>/manifests/HOST/NAMESPACE/MODEL/TAG    JSON: which layers make a model
<root>/blobs/sha256-<64 hex>                 a layer: weights, template, system, params, ...
<root>/blobs/sha256-<digits>                 a layer while it is written (as Ollama names it)
"""
