"""The plan: finished changes and the digest that identifies them."""
