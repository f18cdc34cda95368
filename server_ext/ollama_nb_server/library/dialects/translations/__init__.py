"""What each dialect needs so that llama.cpp loads it: from a header to the changes in it.

What llama.cpp expects stands in its src/models/*.cpp and src/llama-vocab.cpp, what older versions
of Ollama wrote in its convert/*.go. Only the text part is translated: what a model sees and hears
with has its own file in llama.cpp.
"""
