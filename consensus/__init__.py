"""Ordering, pure: Raft and PBFT behind one engine interface.  Payloads are bytes."""
