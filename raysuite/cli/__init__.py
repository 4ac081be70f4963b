"""The command line: a file a command group. It parses, calls one function and renders."""
