"""The page of a shared server: who is served, what is loaded, and what may be done about it.

`view` collects what one person may see, `rendering` makes a page of it, `actions` do what its
buttons say. Who looks is found out in `handlers`.
"""
