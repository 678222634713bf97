"""The daemon of one institution: intake, gossip, ordering, commit, interfaces."""
