"""Answers that are legal, or nearly, and made to break a client: one named nastiness at a time."""
