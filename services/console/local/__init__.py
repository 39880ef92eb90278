"""The district's local tables as the console shows them: rows masked, and where values come from."""
