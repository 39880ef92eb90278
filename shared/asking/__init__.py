"""Asking the house as one person: questions, commands and signed decisions, whoever gives them on a person's behalf."""
