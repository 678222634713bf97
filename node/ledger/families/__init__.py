"""Transaction families, one file each; the registry finds them by name."""
