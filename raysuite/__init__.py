"""Self-supervised visual anomaly detection on Ray: one repairing autoencoder a category."""

__version__ = "0.1.0"
