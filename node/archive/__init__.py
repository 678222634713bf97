"""The archive: old blocks as static files that tools for transparency logs can read."""
