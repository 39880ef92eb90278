"""The Google Admin SDK Directory API in miniature, with its token endpoint and its batch endpoint."""
