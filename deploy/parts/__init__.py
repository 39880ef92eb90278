"""What the house is made of: its parts, their licences, and a bill of materials for each program."""
