"""Why a node does not do what it should: observed facts in, ranked causes out."""
