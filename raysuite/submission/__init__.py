"""Sending raysuite's commands to a cluster as jobs: specs, identity, shipping, following, fetching."""
