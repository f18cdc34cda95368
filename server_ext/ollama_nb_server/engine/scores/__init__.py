"""How likely a model finds given texts behind a prompt."""
