"""Gossip of transactions and cosignatures between members."""
