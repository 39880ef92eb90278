"""The audit log as the console shows it: an entry proven in steps, the whole verified, parts exported."""
