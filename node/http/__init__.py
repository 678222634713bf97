"""The HTTP interface for integrators, operators and monitors."""
