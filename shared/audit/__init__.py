"""The audit record as a database: its tables, and what can be read from them; written by the auditor alone."""
