"""A Vault in miniature: an engine of key and value, version 2, and three ways to prove oneself."""
