"""The way to a server: where it is, how it is called, with which options, and why that failed.

Whatever is asked goes through `calling` or through the clients of a `Connection`.
"""
