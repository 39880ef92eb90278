"""The databases of the house on one PostgreSQL: who owns them, who may do what in them, and how they are made."""
