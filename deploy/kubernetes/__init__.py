"""The house on Kubernetes: a kustomize base, written from one description of its programs."""
