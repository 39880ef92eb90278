"""A run: its states, the moves it may make, and the one document that says where it stands."""
