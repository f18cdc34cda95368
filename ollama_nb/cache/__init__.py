"""What has been computed and is kept on disk: answers of rows, one sqlite file a kind.

Nothing here asks a server; losing a file loses time, and nothing else.
"""
