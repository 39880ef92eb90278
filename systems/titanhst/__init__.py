"""TitanHST, emergency notification: contacts, read and written over HTTP as `http.yaml` describes it."""
