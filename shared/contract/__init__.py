"""The connector definition and mapping contract: what it may say, how it is read, what its words mean."""
