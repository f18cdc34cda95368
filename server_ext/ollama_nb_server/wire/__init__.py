"""The messages of the API as typed models: requests, responses, errors, and their JSON.

Bodies are read as Go's decoder reads them and written in Ollama's field order.
"""
