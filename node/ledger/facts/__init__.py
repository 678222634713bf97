"""What families share: rows of state, their keys, and pure functions over them."""
