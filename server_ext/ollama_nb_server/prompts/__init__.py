"""From messages to the text a model reads: Jinja chat templates, defaults, truncation.

Knows no engine and no HTTP: token counts come in as arguments.

Hostile templates are held by counting what they cost, in the server's threads (`budget`, `bounded`,
`counting`, `growth`, `formats`; `gotemplate.limits`). Warm processes that are ended from outside
were built and measured against that, JSON there and back included, on two cores of an AMD EPYC
(Zen 4). They are smaller (440 lines for 785; Go's 90 are less) and held all 164 attacks, but they
are slower for ordinary templates: five Jinja templates take 0.20-0.27 ms for 0.11-0.21 with one
message, 0.63-2.2 for 0.51-2.6 (0.7 to 1.2 times) with 100, there 0.9 to 2.9 times beside busy
processes; Go's 1.0-1.3 for 0.7-0.8. Each takes 25 MB and 0.2-0.4 s to start, after every attack
again; macOS and Windows limit no memory, so the parent would have to look 20 times a second.
In their favour: beside an attack the event loop is 10-20 ms late, with them 0.2 ms.
"""
