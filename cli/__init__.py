"""`aether`: what operators and scripts do by hand, and the embedded stack that one machine runs."""
