"""The nets, by capacity."""
