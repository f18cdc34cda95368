"""Which model is loaded where: the queue, keep-alive, eviction and unloading.

`decisions` is a function of events without I/O; `scheduler` is the asyncio shell that obeys it.
"""
