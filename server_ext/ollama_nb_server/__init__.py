"""Ollama's REST API as a Jupyter Server extension and as a stand-alone server."""
