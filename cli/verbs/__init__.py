"""The verbs of `aether`, one file a group; each takes its options, asks, and prints."""
