"""Raft (Ongaro and Ousterhout 2014; thesis 2014) as a pure engine."""
