"""Ten thousand malformed inputs: events, definitions, vendors' answers; each is refused, none crashes or hangs."""
