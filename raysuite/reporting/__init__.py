"""Results to figures, tables and one HTML file."""
