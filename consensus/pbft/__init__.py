"""Signed PBFT over a hash chain as a pure engine."""
