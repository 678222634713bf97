"""A support bundle: what helps to find a fault, and nothing of patients or secrets."""
