"""The detector: net, preprocessing, map, score and threshold as one thing."""
