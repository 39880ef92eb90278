"""The extractor: reads systems, certifies what it read, normalises."""
