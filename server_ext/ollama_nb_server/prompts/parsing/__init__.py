"""From what a model writes back to thinking, content and tool calls, while it is written.

A family's way to write is declared as data: sections between tags (`sections`), a notation of its
calls (`notations`), and what both mean for its first word (`formats`). The notation says as well
what a call must look like, as a `shape` that the engine can bind an answer to.

Whatever a family does, parsers keep three rules: the same parts come out however the text is cut;
nothing is raised but `OutputBroken`; and with `lossless` every letter that is neither a blank
around a tag nor part of a call or tag comes out as thinking or content.
"""
