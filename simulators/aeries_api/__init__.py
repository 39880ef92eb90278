"""A simulated Aeries SIS: REST API version 5 over HTTP, with a generator of districts to put into it."""
