"""What a cell shows while something goes on, and what it leaves behind; terminals too.

How an answer that is there looks is in `answers.rendering`.
"""
