"""The doctor: checks of one node, whether it runs or not, each with what to do about it."""
