"""Google's directory: users, organisational units, groups and who is in them, over the Admin SDK Directory API."""
