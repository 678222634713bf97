"""The HTTP interface for integrators, operators and monitors; its entrances are in api.py."""
