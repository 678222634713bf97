"""Questions that the ledger answers, one family per file; pure, provable where they say so."""
