"""The ledger: formats, cryptography, trees, rules.  Pure; knows no I/O and no clock."""
