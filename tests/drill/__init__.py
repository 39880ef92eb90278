"""The drill: a house is backed up, destroyed, restored into an empty place, and has to prove itself."""
