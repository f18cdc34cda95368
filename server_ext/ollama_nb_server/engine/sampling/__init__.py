"""Drawing a token: llama.cpp's samplers, and what is told of their candidates."""
