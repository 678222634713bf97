"""Members' network: frames, handshake, peers."""
