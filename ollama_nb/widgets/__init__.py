"""The widgets: live controls, and beside them ordinary outputs that a saved notebook keeps.

Each is its traits; what they ask goes through `asking`. The page's part is the `.js` and `.css`.
"""
