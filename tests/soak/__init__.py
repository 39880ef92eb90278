"""Hours of the house being broken on purpose: what the suite does for minutes, with other seeds, as long as told."""
