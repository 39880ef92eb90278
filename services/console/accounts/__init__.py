"""Who may sign in to the console, with what proof and for how long; roles come from the identities file."""
