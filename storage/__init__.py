"""Durable bytes: LevelDB behind a small seam, block segments, one atomic commit per block."""
