"""The family of systems that are spoken to over HTTP as an interface document describes them; it holds no system."""
