"""FHIR R4 in and out: what the ledger knows, as the resources that hospitals speak."""
