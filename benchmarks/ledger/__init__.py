"""`make bench-ledger`: how fast the ledger records, answers and is verified."""
