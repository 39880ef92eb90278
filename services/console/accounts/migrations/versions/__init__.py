"""One file a version; a released one is never edited."""
