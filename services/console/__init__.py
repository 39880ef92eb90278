"""The console: where people request, review, approve and look things up in a browser."""
