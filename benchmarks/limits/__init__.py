"""How close to a vendor's limit the workers drive, and others beside them: `make bench-limits`."""
