"""Rehearsals: a real network on this machine, real faults, and a judge that was not asked."""
