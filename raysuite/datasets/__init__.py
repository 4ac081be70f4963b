"""Image files of known layouts as samples."""
